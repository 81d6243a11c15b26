//! Ways in which a world breaks on demand.

/// One way to fail, of one kind of call. What a spoiled call answers is in the comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// `sql`: nothing is applied, `Fault::Sql`.
    SqlError,
    /// `sql`: nothing is applied, `Fault::SqlTimeout`.
    SqlTimeoutBefore,
    /// `sql`: the batch is applied, `Fault::SqlTimeout` all the same.
    SqlAnswerLost,
    /// `kv_get`: `Fault::Kv`.
    KvGetError,
    /// `kv_get`: no value, as where a miss was cached before the value came.
    KvGetMissed,
    /// `kv_put`: nothing is stored, `Fault::Kv`.
    KvPutError,
    /// `kv_put`: nothing is stored and nobody hears of it. With `break_always` this freezes KV as it is.
    KvPutDropped,
    /// `secret`: `Fault::SecretMissing`.
    SecretMissing,
    /// `sign`: `Fault::Crypto`.
    SignError,
    /// `verify`: `Fault::Crypto`.
    VerifyError,
    /// `generate_key`: `Fault::Crypto`.
    GenerateKeyError,
}

/// The kind of call that a breakage spoils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Sql,
    KvGet,
    KvPut,
    Secret,
    Sign,
    Verify,
    GenerateKey,
}

impl Breakage {
    fn call(self) -> Call {
        match self {
            Self::SqlError | Self::SqlTimeoutBefore | Self::SqlAnswerLost => Call::Sql,
            Self::KvGetError | Self::KvGetMissed => Call::KvGet,
            Self::KvPutError | Self::KvPutDropped => Call::KvPut,
            Self::SecretMissing => Call::Secret,
            Self::SignError => Call::Sign,
            Self::VerifyError => Call::Verify,
            Self::GenerateKeyError => Call::GenerateKey,
        }
    }
}

/// The breakages that are still to come.
#[derive(Debug, Default)]
pub(super) struct Breakages(Vec<Planned>);

#[derive(Debug)]
struct Planned {
    breakage: Breakage,
    /// Calls that it lets pass first.
    pass: usize,
    always: bool,
}

impl Breakages {
    pub fn plan(&mut self, breakage: Breakage, pass: usize) {
        self.0.push(Planned { breakage, pass, always: false });
    }

    pub fn plan_always(&mut self, breakage: Breakage) {
        self.0.push(Planned { breakage, pass: 0, always: true });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What spoils this call: the first planned of those that are due. Each of the others sees the call pass.
    pub fn strike(&mut self, call: Call) -> Option<Breakage> {
        let mut struck = None;
        self.0.retain_mut(|planned| {
            if planned.breakage.call() != call {
                return true;
            }
            if planned.pass > 0 {
                planned.pass -= 1;
                return true;
            }
            if struck.is_some() {
                return true;
            }
            struck = Some(planned.breakage);
            planned.always
        });
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakage_spoils_its_own_kind_of_call_once() {
        let mut breakages = Breakages::default();
        breakages.plan(Breakage::SqlError, 0);
        assert_eq!(breakages.strike(Call::KvGet), None);
        assert_eq!(breakages.strike(Call::Sql), Some(Breakage::SqlError));
        assert_eq!(breakages.strike(Call::Sql), None);
    }

    #[test]
    fn a_breakage_can_let_calls_pass_first() {
        let mut breakages = Breakages::default();
        breakages.plan(Breakage::SqlAnswerLost, 2);
        let struck: Vec<_> = (0..4).map(|_| breakages.strike(Call::Sql)).collect();
        assert_eq!(struck, [None, None, Some(Breakage::SqlAnswerLost), None]);
    }

    #[test]
    fn breakages_of_one_kind_come_in_turn() {
        let mut breakages = Breakages::default();
        breakages.plan(Breakage::SqlError, 0);
        breakages.plan(Breakage::SqlTimeoutBefore, 0);
        let struck: Vec<_> = (0..3).map(|_| breakages.strike(Call::Sql)).collect();
        assert_eq!(struck, [Some(Breakage::SqlError), Some(Breakage::SqlTimeoutBefore), None]);
    }

    #[test]
    fn a_lasting_breakage_ends_when_it_is_mended() {
        let mut breakages = Breakages::default();
        breakages.plan_always(Breakage::KvPutDropped);
        assert_eq!(breakages.strike(Call::KvPut), Some(Breakage::KvPutDropped));
        assert_eq!(breakages.strike(Call::KvPut), Some(Breakage::KvPutDropped));
        breakages.clear();
        assert_eq!(breakages.strike(Call::KvPut), None);
    }
}
