//! Choices with values in them: `--strategy` and `--backend`.

use spacetime_kernels::Backend;

/// How much of a column is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every row.
    Full,
    /// This many rows drawn at random, at least one.
    Sample(u64),
    /// Every row where the disk is fast enough for the deadline, else a sample as large as fits.
    Adaptive,
}

/// Reads `full`, `sample:N` or `adaptive`.
///
/// # Errors
/// If it is none of them, or N is zero or no number.
pub fn strategy(text: &str) -> Result<Strategy, String> {
    match text.split_once(':') {
        None if text == "full" => Ok(Strategy::Full),
        None if text == "adaptive" => Ok(Strategy::Adaptive),
        Some(("sample", rows)) => match rows.parse() {
            Ok(0) => Err("a sample holds at least one row".to_owned()),
            Ok(rows) => Ok(Strategy::Sample(rows)),
            Err(error) => Err(format!("rows of the sample: {error}")),
        },
        _ => Err("known are full, sample:N and adaptive".to_owned()),
    }
}

/// Which implementation the CPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuEngine {
    /// The fastest on this machine, measured when first used.
    Fastest,
    /// This one.
    Only(Backend),
}

impl CpuEngine {
    /// The implementation itself.
    #[must_use]
    pub fn backend(self) -> Backend {
        match self {
            Self::Fastest => Backend::fastest(),
            Self::Only(backend) => backend,
        }
    }
}

/// What does the hashing, as `--backend` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engines {
    /// What the CPU does.
    pub cpu: CpuEngine,
}

impl Engines {
    /// The backend that the user insists on; with none each job takes the one that suits it.
    #[must_use]
    pub fn forced(self) -> Option<Backend> {
        match self.cpu {
            CpuEngine::Fastest => None,
            CpuEngine::Only(backend) => Some(backend),
        }
    }
}

impl Default for Engines {
    /// `auto`.
    fn default() -> Self {
        Self { cpu: CpuEngine::Fastest }
    }
}

/// Reads `auto`, or engines joined by `+`: `cpu`, `cpu:NAME`.
///
/// # Errors
/// If there is no such engine, this CPU lacks its instructions, one is named
/// twice, or it is `gpu`, which this build does not have.
pub fn engines(text: &str) -> Result<Engines, String> {
    let mut cpu = None;
    for engine in text.split('+') {
        let (kind, detail) = engine.split_once(':').map_or((engine, None), |(kind, detail)| (kind, Some(detail)));
        let choice = match (kind, detail) {
            ("auto", None) if text == "auto" => CpuEngine::Fastest,
            ("auto", None) => return Err("auto stands alone".to_owned()),
            ("cpu", None) => CpuEngine::Fastest,
            ("cpu", Some(name)) => CpuEngine::Only(Backend::named(name).map_err(|error| error.to_string())?),
            ("gpu", _) => return Err("this program was built without the GPU engine".to_owned()),
            _ => return Err(format!("unknown engine \"{engine}\": known are auto, cpu, cpu:NAME and gpu")),
        };
        if cpu.replace(choice).is_some() {
            return Err("the cpu is named twice".to_owned());
        }
    }
    Ok(Engines { cpu: cpu.ok_or("no engine named")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies() {
        assert_eq!(strategy("full"), Ok(Strategy::Full));
        assert_eq!(strategy("adaptive"), Ok(Strategy::Adaptive));
        assert_eq!(strategy("sample:1000"), Ok(Strategy::Sample(1000)));
        for text in ["", "Full", "sample", "sample:", "sample:0", "sample:-1", "sample:many", "full:2"] {
            assert!(strategy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn engines_of_this_cpu() {
        assert_eq!(engines("auto"), Ok(Engines::default()));
        assert_eq!(engines("cpu"), Ok(Engines { cpu: CpuEngine::Fastest }));
        for backend in Backend::available() {
            let named = engines(&format!("cpu:{}", backend.name()));
            assert_eq!(named, Ok(Engines { cpu: CpuEngine::Only(*backend) }));
        }
    }

    #[test]
    fn engines_that_are_not_there() {
        for text in ["gpu", "gpu:0,2", "gpu:0,2+cpu", "cpu+gpu"] {
            assert_eq!(engines(text), Err("this program was built without the GPU engine".to_owned()), "{text}");
        }
        for text in ["", "cpu+", "+", "cpu:", "cpu:mmx", "cpu+cpu:portable", "auto+cpu", "auto:1", "fpga"] {
            assert!(engines(text).is_err(), "{text}");
        }
    }
}
