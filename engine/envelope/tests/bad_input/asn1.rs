//! DER as a tree that can be bent.

/// An element of definite length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Leaf(u8, Vec<u8>),
    Branch(u8, Vec<Node>),
    /// Octets that need not be an element.
    Raw(Vec<u8>),
}

impl Node {
    pub fn parse(octets: &[u8]) -> Self {
        let (node, rest) = Self::take(octets);
        assert!(rest.is_empty());
        node
    }

    fn take(octets: &[u8]) -> (Self, &[u8]) {
        let (tag, first) = (octets[0], usize::from(octets[1]));
        let count = if first < 0x80 { 0 } else { first & 0x7F };
        let long = octets[2..2 + count].iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let length = if count == 0 { first } else { long };
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

    pub fn octets(&self) -> Vec<u8> {
        match self {
            Self::Leaf(tag, content) => element(*tag, content),
            Self::Branch(tag, children) => {
                element(*tag, &children.iter().flat_map(Self::octets).collect::<Vec<_>>())
            }
            Self::Raw(octets) => octets.clone(),
        }
    }

    /// The same with indefinite lengths.
    pub fn indefinite(&self) -> Vec<u8> {
        match self {
            Self::Branch(tag, children) => {
                let inner: Vec<u8> = children.iter().flat_map(Self::indefinite).collect();
                indefinite(*tag, &inner)
            }
            other => other.octets(),
        }
    }

    /// The element at a path of places.
    pub fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |node, place| &mut node.children()[*place])
    }

    pub fn children(&mut self) -> &mut Vec<Self> {
        let Self::Branch(_, children) = self else { panic!("no children in {self:?}") };
        children
    }

    pub fn content(&mut self) -> &mut Vec<u8> {
        let Self::Leaf(_, content) = self else { panic!("no content in {self:?}") };
        content
    }
}

/// An element of definite length.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        0..=0x7F => &length[3..],
        0x80..=0xFF => &[&[0x81], &length[3..]].concat(),
        0x100..=0xFFFF => &[&[0x82], &length[2..]].concat(),
        _ => &[&[0x84], &length[..]].concat(),
    };
    [&[tag], length, content].concat()
}

/// An element of indefinite length.
pub fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80][..], content, &[0, 0]].concat()
}
