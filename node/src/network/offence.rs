//! What a peer pays for what it does wrong.

/// What a peer did. Each costs it points; at [`BAN_POINTS`] it is banned for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// Bytes that are no message, or one over its limits.
    Malformed,
    /// Another chain, or another version: nothing to be had, and no ill will.
    OtherChain,
    /// A header that breaks a rule, or whose proof does not hold.
    BadHeader,
    /// A block that breaks a rule, or a body that is not its header's.
    BadBlock,
    /// A block that breaks a rule which only shows when it is executed: who forwards it beside its own chain has not.
    UnexecutedBlock,
    /// A transaction that no chain could ever have taken: its form or a signature is wrong.
    BadTransaction,
    /// A proof whose path or row does not hold.
    BadProof,
    /// An answer to a question that was not asked, or that is not what was asked for.
    WrongAnswer,
    /// It said that it had what it does not give.
    Withheld,
    /// It claimed a heavier chain than it could show.
    Overstated,
    /// No answer within the deadline.
    Slow,
    /// More than its share of anything.
    Flood,
}

/// How many offences there are.
pub const OFFENCES: usize = 12;

/// A peer with so many points is banned.
pub const BAN_POINTS: u32 = 100;
/// Of what happens to an honest peer once, by bad luck: twice within some minutes is too many, though points fade.
const ONCE: u32 = 60;

impl Offence {
    /// All of them.
    pub const ALL: [Self; OFFENCES] = [
        Self::Malformed,
        Self::OtherChain,
        Self::BadHeader,
        Self::BadBlock,
        Self::UnexecutedBlock,
        Self::BadTransaction,
        Self::BadProof,
        Self::WrongAnswer,
        Self::Withheld,
        Self::Overstated,
        Self::Slow,
        Self::Flood,
    ];

    /// Its place among [`Offence::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What it costs.
    #[must_use]
    pub const fn points(self) -> u32 {
        match self {
            Self::Malformed | Self::BadHeader | Self::BadBlock | Self::BadProof | Self::BadTransaction => BAN_POINTS,
            Self::Overstated | Self::Withheld => ONCE,
            // What was asked for may be gone when it is answered, of several questions at a time.
            Self::WrongAnswer => 50,
            Self::UnexecutedBlock | Self::Flood => 20,
            Self::Slow => 10,
            Self::OtherChain => 0,
        }
    }
}
