//! BER as a tree that can be bent, by a parser of its own.

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Octets behind a tag.
    Leaf(u8, Vec<u8>),
    /// Elements in an element.
    Branch(u8, Vec<Node>),
    /// Octets that need not be an element.
    Raw(Vec<u8>),
}

impl Node {
    /// The tree of one element, whatever the form of its lengths.
    pub fn parse(octets: &[u8]) -> Self {
        let (node, rest) = Self::take(octets);
        assert!(rest.is_empty(), "{} octets behind the element", rest.len());
        node
    }

    fn take(octets: &[u8]) -> (Self, &[u8]) {
        let (tag, first) = (octets[0], octets[1]);
        if first == 0x80 {
            let (mut children, mut rest) = (Vec::new(), &octets[2..]);
            while rest[..2] != [0, 0] {
                let (child, behind) = Self::take(rest);
                children.push(child);
                rest = behind;
            }
            return (Self::Branch(tag, children), &rest[2..]);
        }
        let count = if first < 0x80 { 0 } else { usize::from(first & 0x7F) };
        let long = octets[2..2 + count].iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let length = if count == 0 { usize::from(first) } else { long };
        let (content, rest) = octets[2 + count..].split_at(length);
        if tag & 0x20 == 0 {
            return (Self::Leaf(tag, content.to_vec()), rest);
        }
        let (mut children, mut inner) = (Vec::new(), content);
        while !inner.is_empty() {
            let (child, behind) = Self::take(inner);
            children.push(child);
            inner = behind;
        }
        (Self::Branch(tag, children), rest)
    }

    /// With definite lengths.
    pub fn definite(&self) -> Vec<u8> {
        match self {
            Self::Leaf(tag, content) => element(*tag, content),
            Self::Branch(tag, children) => {
                element(*tag, &children.iter().flat_map(Self::definite).collect::<Vec<_>>())
            }
            Self::Raw(octets) => octets.clone(),
        }
    }

    /// With indefinite lengths wherever they are allowed.
    pub fn indefinite(&self) -> Vec<u8> {
        match self {
            Self::Branch(tag, children) => {
                let inner: Vec<u8> = children.iter().flat_map(Self::indefinite).collect();
                [&[*tag, 0x80][..], &inner, &[0, 0]].concat()
            }
            other => other.definite(),
        }
    }

    /// The element at a path of places.
    pub fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |node, place| &mut node.children()[*place])
    }

    /// What is in it.
    pub fn children(&mut self) -> &mut Vec<Self> {
        match self {
            Self::Branch(_, children) => children,
            other => unreachable!("no children in {other:?}"),
        }
    }

    /// Its octets; those of a string in segments together.
    pub fn string(&self) -> Vec<u8> {
        match self {
            Self::Leaf(_, content) => content.clone(),
            Self::Branch(_, segments) => segments.iter().flat_map(Self::string).collect(),
            Self::Raw(octets) => octets.clone(),
        }
    }
}

/// An element of definite length.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a small element").to_be_bytes();
    let length = match content.len() {
        0..=0x7F => &length[3..],
        0x80..=0xFF => &[&[0x81], &length[3..]].concat(),
        0x100..=0xFFFF => &[&[0x82], &length[2..]].concat(),
        _ => &[&[0x84], &length[..]].concat(),
    };
    [&[tag], length, content].concat()
}
