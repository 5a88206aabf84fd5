// Seals and opens envelopes with Bouncy Castle, for the tests in bouncycastle.rs.
//
//   java Envelope FOLDER
//
// FOLDER holds certificates and keys of stations in PEM: NAME.crt and NAME.key. Alice signs, Bob decrypts; Carol is
// the second of both. From standard input comes one job a line, fields separated by tabs:
//
//   seal FORM SUITE SERVICES FLAGS SOURCE TARGET
//   open SUITE SERVICES SOURCE TARGET
//
// FORM is "stream" (generators that stream: indefinite lengths, segments), "ber" (generators that do not, as they
// encode by themselves) or "der" (the same in DER). SUITE is a code of SFIDCIPH. SERVICES has the letters s, c and e
// for sign, compress and encrypt, or "-". FLAGS are words joined by commas, or "-": noattr (no signed attributes),
// keyid (names by subject key identifier), certs (certificates of both signers), crls (a revocation list),
// two (Carol signs with SHA-1, then Alice; for Carol and then Bob), sha (signature algorithm with its hash).
//
// To standard output goes one line a job: "ok", or "failed" and why. It ends when the input does.

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.X509Certificate;
import java.util.*;
import org.bouncycastle.asn1.*;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.oiw.OIWObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RSAESOAEPparams;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.cert.*;
import org.bouncycastle.cert.jcajce.*;
import org.bouncycastle.cms.*;
import org.bouncycastle.cms.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.*;
import org.bouncycastle.operator.jcajce.*;
import org.bouncycastle.util.CollectionStore;

public final class Envelope {
    static final String BC = "BC";

    /** A certificate and its key. */
    record Station(X509Certificate certificate, X509CertificateHolder holder, PrivateKey key) {
        static Station read(Path folder, String name) throws Exception {
            try (PEMParser pem = new PEMParser(Files.newBufferedReader(folder.resolve(name + ".crt")));
                    PEMParser keyPem = new PEMParser(Files.newBufferedReader(folder.resolve(name + ".key")))) {
                X509CertificateHolder holder = (X509CertificateHolder) pem.readObject();
                X509Certificate certificate =
                        new JcaX509CertificateConverter().setProvider(BC).getCertificate(holder);
                PrivateKeyInfo info = (PrivateKeyInfo) keyPem.readObject();
                PrivateKey key = new JcaPEMKeyConverter().setProvider(BC).getPrivateKey(info);
                return new Station(certificate, holder, key);
            }
        }

        byte[] keyId() {
            return SubjectKeyIdentifier.fromExtensions(holder.getExtensions()).getKeyIdentifier();
        }
    }

    /** What a code of SFIDCIPH stands for. */
    record Suite(String hash, ASN1ObjectIdentifier hashId, ASN1ObjectIdentifier cipher, boolean isNewPadding) {
        static Suite of(String code) {
            ASN1ObjectIdentifier des = CMSAlgorithm.DES_EDE3_CBC, aes = CMSAlgorithm.AES256_CBC;
            ASN1ObjectIdentifier sha1 = OIWObjectIdentifiers.idSHA1, sha256 = NISTObjectIdentifiers.id_sha256,
                    sha512 = NISTObjectIdentifiers.id_sha512, sha3 = NISTObjectIdentifiers.id_sha3_512;
            return switch (code) {
                case "01" -> new Suite("SHA1", sha1, des, false);
                case "02" -> new Suite("SHA1", sha1, aes, false);
                case "03" -> new Suite("SHA256", sha256, des, false);
                case "04" -> new Suite("SHA256", sha256, aes, false);
                case "05" -> new Suite("SHA512", sha512, des, false);
                case "06" -> new Suite("SHA512", sha512, aes, false);
                case "07" -> new Suite("SHA3-512", sha3, aes, false);
                case "08" -> new Suite("SHA256", sha256, aes, true);
                case "09" -> new Suite("SHA512", sha512, aes, true);
                case "10" -> new Suite("SHA3-512", sha3, aes, true);
                default -> throw new IllegalArgumentException("suite " + code);
            };
        }

        String signature() {
            return hash + "withRSA" + (isNewPadding ? "andMGF1" : "");
        }
    }

    final Station alice, bob, carol;

    Envelope(Path folder) throws Exception {
        alice = Station.read(folder, "alice");
        bob = Station.read(folder, "bob");
        carol = Station.read(folder, "carol");
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        Envelope envelope = new Envelope(Path.of(arguments[0]));
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String job = in.readLine(); job != null; job = in.readLine()) {
            String answer;
            try {
                envelope.run(job.split("\t"));
                answer = "ok";
            } catch (Throwable problem) {
                answer = "failed " + String.valueOf(problem).replaceAll("\\s+", " ");
                Throwable cause = problem.getCause();
                answer += cause == null ? "" : " because of " + String.valueOf(cause).replaceAll("\\s+", " ");
            }
            out.println(answer);
        }
    }

    void run(String[] job) throws Exception {
        switch (job[0]) {
            case "seal" -> {
                Suite suite = Suite.of(job[2]);
                Set<String> flags = Set.of(job[4].split(","));
                if (job[1].equals("stream")) {
                    sealStreaming(suite, job[3], flags, Path.of(job[5]), Path.of(job[6]));
                } else {
                    sealWhole(suite, job[3], flags, job[1].equals("der"), Path.of(job[5]), Path.of(job[6]));
                }
            }
            case "open" -> open(Suite.of(job[1]), job[2], Path.of(job[3]), Path.of(job[4]));
            default -> throw new IllegalArgumentException(job[0]);
        }
    }

    void sealStreaming(Suite suite, String services, Set<String> flags, Path source, Path target) throws Exception {
        Deque<OutputStream> layers = new ArrayDeque<>();
        try (InputStream in = Files.newInputStream(source); OutputStream file = newFile(target)) {
            layers.push(file);
            if (services.contains("e")) {
                CMSEnvelopedDataStreamGenerator generator = new CMSEnvelopedDataStreamGenerator();
                generator.setBEREncodeRecipients(true);
                addRecipients(generator, suite, flags);
                layers.push(generator.open(layers.peek(), encryptor(suite)));
            }
            if (services.contains("c")) {
                CMSCompressedDataStreamGenerator generator = new CMSCompressedDataStreamGenerator();
                layers.push(generator.open(layers.peek(), new org.bouncycastle.cms.jcajce.ZlibCompressor()));
            }
            if (services.contains("s")) {
                CMSSignedDataStreamGenerator generator = new CMSSignedDataStreamGenerator();
                generator.setBufferSize(1000);
                addSigners(generator, suite, flags);
                layers.push(generator.open(layers.peek(), true));
            }
            in.transferTo(layers.peek());
            for (OutputStream layer : layers) {
                layer.close();
            }
        }
    }

    void sealWhole(Suite suite, String services, Set<String> flags, boolean isDer, Path source, Path target)
            throws Exception {
        byte[] octets = Files.readAllBytes(source);
        if (services.contains("s")) {
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            generator.setDefiniteLengthEncoding(isDer);
            addSigners(generator, suite, flags);
            octets = encoded(generator.generate(new CMSProcessableByteArray(octets), true).toASN1Structure(), isDer);
        }
        if (services.contains("c")) {
            CMSCompressedDataGenerator generator = new CMSCompressedDataGenerator();
            CMSTypedData content = new CMSProcessableByteArray(octets);
            var compressor = new org.bouncycastle.cms.jcajce.ZlibCompressor();
            octets = encoded(generator.generate(content, compressor).toASN1Structure(), isDer);
        }
        if (services.contains("e")) {
            CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
            addRecipients(generator, suite, flags);
            CMSTypedData content = new CMSProcessableByteArray(octets);
            octets = encoded(generator.generate(content, encryptor(suite)).toASN1Structure(), isDer);
        }
        Files.write(target, octets);
    }

    static byte[] encoded(ASN1Object object, boolean isDer) throws IOException {
        return isDer ? object.getEncoded(ASN1Encoding.DER) : object.getEncoded();
    }

    void addSigners(CMSSignedGenerator generator, Suite suite, Set<String> flags) throws Exception {
        if (flags.contains("two")) {
            addSigner(generator, carol, Suite.of("02"), flags);
        }
        addSigner(generator, alice, suite, flags);
        if (flags.contains("certs")) {
            generator.addCertificates(new JcaCertStore(List.of(carol.certificate, alice.certificate)));
        }
        if (flags.contains("crls")) {
            X500Name issuer = alice.holder.getSubject();
            X509v2CRLBuilder builder = new X509v2CRLBuilder(issuer, new Date());
            for (int serial = 1; serial <= 2000; serial++) {
                builder.addCRLEntry(java.math.BigInteger.valueOf(serial), new Date(), 1);
            }
            ContentSigner signer = new JcaContentSignerBuilder("SHA256withRSA").setProvider(BC).build(alice.key);
            generator.addCRLs(new CollectionStore<>(List.of(builder.build(signer))));
        }
    }

    static void addSigner(CMSSignedGenerator generator, Station station, Suite suite, Set<String> flags)
            throws Exception {
        ContentSigner signer = new JcaContentSignerBuilder(suite.signature()).setProvider(BC).build(station.key);
        DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider(BC).build();
        JcaSignerInfoGeneratorBuilder builder = flags.contains("sha")
                ? new JcaSignerInfoGeneratorBuilder(digests, signature -> signature)
                : new JcaSignerInfoGeneratorBuilder(digests);
        builder.setDirectSignature(flags.contains("noattr"));
        generator.addSignerInfoGenerator(flags.contains("keyid")
                ? builder.build(signer, station.keyId())
                : builder.build(signer, station.certificate));
    }

    void addRecipients(CMSEnvelopedGenerator generator, Suite suite, Set<String> flags) throws Exception {
        for (Station station : flags.contains("two") ? List.of(carol, bob) : List.of(bob)) {
            generator.addRecipientInfoGenerator(recipient(station, suite, flags).setProvider(BC));
        }
    }

    static JceKeyTransRecipientInfoGenerator recipient(Station station, Suite suite, Set<String> flags)
            throws Exception {
        boolean byKeyId = flags.contains("keyid");
        PublicKey key = station.certificate.getPublicKey();
        if (!suite.isNewPadding) {
            return byKeyId
                    ? new JceKeyTransRecipientInfoGenerator(station.keyId(), key)
                    : new JceKeyTransRecipientInfoGenerator(station.certificate);
        }
        AlgorithmIdentifier hash = new AlgorithmIdentifier(suite.hashId);
        AlgorithmIdentifier mask = new AlgorithmIdentifier(PKCSObjectIdentifiers.id_mgf1, hash);
        RSAESOAEPparams parameters = new RSAESOAEPparams(hash, mask, RSAESOAEPparams.DEFAULT_P_SOURCE_ALGORITHM);
        AlgorithmIdentifier oaep = new AlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, parameters);
        return byKeyId
                ? new JceKeyTransRecipientInfoGenerator(station.keyId(), oaep, key)
                : new JceKeyTransRecipientInfoGenerator(station.certificate, oaep);
    }

    static OutputEncryptor encryptor(Suite suite) throws CMSException {
        return new JceCMSContentEncryptorBuilder(suite.cipher).setProvider(BC).build();
    }

    /** Undoes the layers with the classes that stream; fails unless they are of the suite. */
    void open(Suite suite, String services, Path source, Path target) throws Exception {
        try (InputStream file = new BufferedInputStream(Files.newInputStream(source));
                OutputStream out = newFile(target)) {
            InputStream in = file;
            if (services.contains("e")) {
                CMSEnvelopedDataParser parser = new CMSEnvelopedDataParser(in);
                require(parser.getContentEncryptionAlgorithm().getAlgorithm().equals(suite.cipher), "cipher");
                RecipientInformation recipient =
                        parser.getRecipientInfos().get(new JceKeyTransRecipientId(bob.certificate));
                require(recipient != null, "recipient");
                JceKeyTransRecipient key = new JceKeyTransEnvelopedRecipient(bob.key).setProvider(BC);
                in = recipient.getContentStream(key).getContentStream();
            }
            if (services.contains("c")) {
                CMSCompressedDataParser parser = new CMSCompressedDataParser(in);
                in = parser.getContent(new org.bouncycastle.cms.jcajce.ZlibExpanderProvider()).getContentStream();
            }
            if (!services.contains("s")) {
                in.transferTo(out);
                return;
            }
            DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider(BC).build();
            CMSSignedDataParser parser = new CMSSignedDataParser(digests, in);
            parser.getSignedContent().getContentStream().transferTo(out);
            Collection<SignerInformation> signers = parser.getSignerInfos().getSigners();
            require(signers.size() == 1, "one signer");
            for (SignerInformation signer : signers) {
                require(signer.getSID().match(alice.holder), "signer");
                require(signer.getDigestAlgOID().equals(suite.hashId.getId()), "hash");
                var verifier = new JcaSimpleSignerInfoVerifierBuilder().setProvider(BC).build(alice.certificate);
                require(signer.verify(verifier), "signature");
            }
        }
    }

    static OutputStream newFile(Path target) throws IOException {
        return new BufferedOutputStream(Files.newOutputStream(target));
    }

    static void require(boolean isSo, String what) {
        if (!isSo) {
            throw new IllegalStateException("not as expected: " + what);
        }
    }
}
