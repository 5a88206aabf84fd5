//! Stages that have no benchmark of their own elsewhere: TLS records, the walk over records of V files, checkpoints in
//! stored form, headers of DATA buffers.
//!
//! ```text
//! cargo bench -p odile-bench --bench stages
//! ```

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use odile_bench::cad;
use odile_bench::sealing::{BLOCK_BYTES, Party};
use odile_envelope::{Declared, HashAlgorithm, Misuse, Opener, Services, Suite};
use odile_tls::{
    CertificateDer, ClientAuthentication, HostNameCheck, Identity, Policy, Tls, Trust, client_config,
    server_config,
};
use odile_transfer::{
    ArrivalCheckpoint, Compress, DEPARTURES_MAX, Departure, Departures, Form, Framing, PackedChunk,
    PlainChunk, RecordWalk, Slot, Source,
};
use odile_wire::data::{Compression, End, Records};
use odile_wire::stream::{self, Deframer, Piece};
use serde::Serialize;
use serde::de::DeserializeOwned;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = tls, record_walk, checkpoints, headers
}
criterion_main!(benches);

/// A block of a station, sealed and opened: TLS 1.3 with AES-256-GCM, in records of 16 KiB.
fn tls(criterion: &mut Criterion) {
    let mut ends = Ends::new();
    let content = cad::noise(BLOCK_BYTES, 1);
    let mut records = vec![0; Tls::sealed_bytes(content.len())];
    let mut group = criterion.benchmark_group("TLS 1.3, AES-256-GCM");
    group.throughput(Throughput::Bytes(content.len() as u64));
    let Ends { client, server } = &mut ends;
    // Records can be opened once, and in their order only.
    let seal = |client: &mut Tls| {
        let mut sealed = vec![0; Tls::sealed_bytes(content.len())];
        let count = client.seal(&content, &mut sealed).expect("a connection");
        sealed.truncate(count);
        sealed
    };
    let mut opened = Vec::with_capacity(2 * content.len());
    group.bench_function("open", |b| {
        b.iter_batched_ref(
            || seal(client),
            |sealed| {
                opened.clear();
                server.receive(sealed, &mut opened, &mut Vec::new()).expect("records of the other end");
                assert_eq!(opened.len(), content.len());
            },
            BatchSize::PerIteration,
        );
    });
    assert!(opened.is_empty() || opened == content);
    group.bench_function("seal", |b| {
        b.iter(|| client.seal(black_box(&content), &mut records).expect("a connection"));
    });
    group.finish();
}

/// Two ends of a connection, in memory.
struct Ends {
    client: Tls,
    server: Tls,
}

impl Ends {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate: CertificateDer<'static> =
            parameters.self_signed(&key).expect("a certificate").der().clone();
        let identity = Identity::new(vec![certificate.clone()], &key.serialize_der()).expect("a key");
        let trust = Trust { pinned: vec![certificate], ..Trust::default() };
        let policy = Policy::new(trust, HostNameCheck::Off).expect("something to trust");
        let called = client_config(policy, None).expect("a client");
        let answering = server_config(&identity, ClientAuthentication::NotAsked).expect("a server");
        let mut ends = Self {
            client: Tls::client(called, "localhost").expect("a name"),
            server: Tls::server(answering).expect("a connection"),
        };
        let (mut to_server, mut to_client, mut content) = (Vec::new(), Vec::new(), Vec::new());
        ends.client.receive(&mut [], &mut content, &mut to_server).expect("a beginning");
        while !(to_server.is_empty() && to_client.is_empty()) {
            let mut octets = std::mem::take(&mut to_server);
            ends.server.receive(&mut octets, &mut content, &mut to_client).expect("a client");
            let mut octets = std::mem::take(&mut to_client);
            ends.client.receive(&mut octets, &mut content, &mut to_server).expect("a server");
        }
        assert_eq!(ends.client.description().as_deref(), Some("TLSv1_3 TLS13_AES_256_GCM_SHA384"));
        ends
    }
}

/// A V file of a block, with records of one length.
fn record_walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record walk");
    for length in [16_u16, 80, 4000] {
        let record = [&length.to_be_bytes()[..], &vec![b'x'; usize::from(length)]].concat();
        let file = record.repeat(BLOCK_BYTES / record.len());
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("records of {length} octets")), |b| {
            b.iter(|| {
                let (mut walk, mut seen) = (RecordWalk::default(), 0);
                walk.walk(black_box(&file), |data| seen += black_box(data).len());
                assert!(walk.is_whole() && seen > 0);
                walk.records()
            });
        });
    }
    group.finish();
}

/// Checkpoints as both sides store them, written and read: of a plain file, of one that is signed, compressed and
/// encrypted, and all that a sender keeps.
fn checkpoints(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    let source = cad::step_text(8 << 20, 1);
    let party = Party::new();
    let plan = party.plan(Suite::S04, Services::ALL, source.len());
    let plain = Form::Plain { witness: Some(HashAlgorithm::Sha256) };
    let sealed = Form::Sealed { plan: plan.clone(), key: Some(party.key().clone()), batch_max: 1 };
    stored(&mut group, "sender, plain, signed receipt", departures(plain, &source, 1));
    stored(&mut group, "sender, all services", departures(sealed, &source, 1));
    // Without compression one can be taken anywhere.
    let services = Services { compress: false, ..Services::ALL };
    let long = cad::noise(64 << 20, 1);
    let many = party.plan(Suite::S04, services, long.len());
    let sealed = Form::Sealed { plan: many, key: Some(party.key().clone()), batch_max: 1 };
    let kept = departures(sealed, &long, usize::MAX);
    assert_eq!(kept.len(), DEPARTURES_MAX);
    stored(&mut group, "sender, signed and encrypted, all that are kept", kept);

    let terms = party.terms(Declared::Services(Services::ALL), Some(HashAlgorithm::Sha256));
    let mut stream = Vec::new();
    party.seal(&plan, &source, &mut vec![0; BLOCK_BYTES], |octets| stream.extend_from_slice(octets));
    let (mut opener, mut room, mut found) = (Opener::new(terms), vec![0; BLOCK_BYTES], None);
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let progress = opener.push(rest, &mut room).expect("just sealed");
        rest = &rest[progress.consumed..];
        if progress.is_checkpoint {
            found = opener.checkpoint();
        }
    }
    let found = found.expect("chunks end before the stream does");
    stored(&mut group, "receiver, all services", ArrivalCheckpoint::opened(found));
    group.finish();
}

fn stored<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    body: T,
) {
    let slot = Slot { subject: [7; 32], sequence: 1, body };
    let octets = slot.to_bytes().expect("it has a stored form");
    group.throughput(Throughput::Bytes(octets.len() as u64));
    let id = format!("{name}, {} octets", octets.len());
    group.bench_function(BenchmarkId::new("write", &id), |b| {
        b.iter(|| black_box(&slot).to_bytes().expect("it has a stored form"));
    });
    group.bench_function(BenchmarkId::new("read", &id), |b| {
        b.iter(|| Slot::<T>::from_bytes(black_box(&octets)).expect("just written"));
    });
    assert_eq!(Slot::from_bytes(&octets).expect("just written"), slot);
}

/// The newest checkpoints of a file on its way out, at most so many.
fn departures(form: Form, source: &[u8], most: usize) -> Departures {
    let framing = Framing { buffer_size: 99_999, compression: Compression::Off };
    let mut departure = Departure::new(Records::None, form, framing).expect("keys for everything");
    // Of one Data Exchange Buffer.
    let (mut block, mut all) = (vec![0; 128 << 10], Vec::new());
    while !departure.is_finished() {
        departure.fill(&mut Memory(source), &mut block, 1, &mut Here).expect("a source");
        all.extend(departure.checkpoint());
    }
    let mut kept = Departures::new();
    all.into_iter().rev().take(most).collect::<Vec<_>>().into_iter().rev().for_each(|one| kept.push(one));
    assert!(!kept.is_empty(), "there is somewhere to go on");
    kept
}

/// A file in memory.
struct Memory<'a>(&'a [u8]);

impl Source for Memory<'_> {
    type Error = Infallible;

    fn look(&mut self, position: u64, _: usize, look: &mut dyn FnMut(&[u8], End)) -> Result<(), Infallible> {
        let position = usize::try_from(position).expect("it is in memory");
        look(&self.0[position.min(self.0.len())..], End::Reached);
        Ok(())
    }
}

/// Compresses on this thread.
struct Here;

impl Compress for Here {
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        Ok(chunks.into_iter().map(PlainChunk::compress).collect())
    }
}

/// Stream Transmission Headers of DATA, one by one: what a session costs for each buffer besides its octets.
fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("DATA header");
    for (name, payload) in [("128", 127), ("99999", 99_998)] {
        let buffers = (4 << 20) / payload;
        let mut buffer = stream::header(payload + 1).to_vec();
        buffer.push(b'D');
        buffer.resize(buffer.len() + payload, 0);
        let all = buffer.repeat(buffers);
        group.throughput(Throughput::Elements(buffers as u64));
        group.bench_function(BenchmarkId::new("decode, buffers of", name), |b| {
            b.iter(|| {
                let (mut deframer, mut input, mut count) = (Deframer::new(), black_box(all.as_slice()), 0);
                while let Ok(Some(Piece::Data { octets, end: true })) = deframer.next_piece(&mut input) {
                    black_box(octets);
                    count += 1;
                }
                assert_eq!(count, buffers);
            });
        });
    }
    group.bench_function("encode", |b| b.iter(|| stream::header(black_box(99_999))));
    group.finish();
}
