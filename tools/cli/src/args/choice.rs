//! Choices with values in them: `--strategy` and `--backend`.

use spacetime_kernels::Backend;
use tracing::warn;

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

/// Which GPU adapters are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuEngines {
    /// All there are; software ones only if there are no others.
    All,
    /// Those with these numbers, in ascending order.
    Only(Vec<usize>),
}

/// What does the hashing, as `--backend` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engines {
    /// Whatever is there: the CPU, and GPUs where they are of use, but none that is software.
    Auto,
    /// What was named, at least one of the two.
    Named {
        /// What the CPU does.
        cpu: Option<CpuEngine>,
        /// Which adapters work too.
        gpu: Option<GpuEngines>,
    },
}

impl Engines {
    /// The CPU backend that the user insists on; with none each job takes the one that suits it.
    #[must_use]
    pub fn forced(&self) -> Option<Backend> {
        match self {
            Self::Named { cpu: Some(CpuEngine::Only(backend)), .. } => Some(*backend),
            Self::Auto | Self::Named { .. } => None,
        }
    }

    /// The CPU backend for what the CPU does in any case.
    #[must_use]
    pub fn cpu(&self) -> Backend {
        self.forced().map_or_else(|| CpuEngine::Fastest.backend(), |backend| CpuEngine::Only(backend).backend())
    }

    /// Says that adapters are of no use to work that the CPU does alone, if any are named: `SPACETIME_BACKEND`
    /// may name them for other verbs.
    pub(crate) fn note_cpu_alone(&self) {
        if matches!(self, Self::Named { gpu: Some(_), .. }) {
            warn!("this is work for the CPU alone: GPUs take no part");
        }
    }

    /// Whether the CPU grows rows.
    #[must_use]
    pub fn cpu_grows(&self) -> bool {
        !matches!(self, Self::Named { cpu: None, .. })
    }
}

/// Reads `auto`, or engines joined by `+`: `cpu`, `cpu:NAME`, `gpu`, `gpu:0,2`.
///
/// # Errors
/// If there is no such engine, this CPU lacks its instructions, one is named
/// twice, or it is `gpu` in a build without that engine.
pub fn engines(text: &str) -> Result<Engines, String> {
    let (mut cpu, mut gpu) = (None, None);
    for engine in text.split('+') {
        let (kind, detail) = engine.split_once(':').map_or((engine, None), |(kind, detail)| (kind, Some(detail)));
        let is_again = match (kind, detail) {
            ("auto", None) if text == "auto" => return Ok(Engines::Auto),
            ("auto", None) => return Err("auto stands alone".to_owned()),
            ("cpu", None) => cpu.replace(CpuEngine::Fastest).is_some(),
            ("cpu", Some(name)) => {
                let backend = Backend::named(name).map_err(|error| error.to_string())?;
                cpu.replace(CpuEngine::Only(backend)).is_some()
            }
            ("gpu", _) if !cfg!(feature = "gpu") => {
                return Err("this program was built without the GPU engine".to_owned());
            }
            ("gpu", None) => gpu.replace(GpuEngines::All).is_some(),
            ("gpu", Some(numbers)) => gpu.replace(GpuEngines::Only(adapter_numbers(numbers)?)).is_some(),
            _ => return Err(format!("unknown engine \"{engine}\": known are auto, cpu, cpu:NAME, gpu and gpu:N,N")),
        };
        if is_again {
            return Err(format!("the {kind} is named twice"));
        }
    }
    Ok(Engines::Named { cpu, gpu })
}

/// Reads `0` or `0,2`.
fn adapter_numbers(text: &str) -> Result<Vec<usize>, String> {
    let mut numbers = Vec::new();
    for number in text.split(',') {
        let parsed = number.parse().map_err(|error| format!("number of the adapter, \"{number}\": {error}"))?;
        if numbers.contains(&parsed) {
            return Err(format!("adapter {parsed} is named twice"));
        }
        numbers.push(parsed);
    }
    numbers.sort_unstable();
    Ok(numbers)
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

    const CPU: Option<CpuEngine> = Some(CpuEngine::Fastest);

    #[test]
    fn engines_of_this_cpu() {
        assert_eq!(engines("auto"), Ok(Engines::Auto));
        assert_eq!(engines("cpu"), Ok(Engines::Named { cpu: CPU, gpu: None }));
        for backend in Backend::available() {
            let named = engines(&format!("cpu:{}", backend.name()));
            assert_eq!(named, Ok(Engines::Named { cpu: Some(CpuEngine::Only(*backend)), gpu: None }));
            assert_eq!(named.expect("it was just read").cpu(), *backend);
        }
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn engines_of_adapters() {
        let all = Some(GpuEngines::All);
        let some = |numbers: &[usize]| Some(GpuEngines::Only(numbers.to_vec()));
        assert_eq!(engines("gpu"), Ok(Engines::Named { cpu: None, gpu: all.clone() }));
        assert_eq!(engines("gpu:2,0"), Ok(Engines::Named { cpu: None, gpu: some(&[0, 2]) }));
        assert_eq!(engines("gpu:0,2+cpu"), Ok(Engines::Named { cpu: CPU, gpu: some(&[0, 2]) }));
        assert_eq!(engines("cpu+gpu"), Ok(Engines::Named { cpu: CPU, gpu: all }));
        for text in ["gpu:", "gpu:x", "gpu:0,0", "gpu:0,", "gpu:-1", "gpu+gpu:1", "gpu:0:1", "auto+gpu"] {
            assert!(engines(text).is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "gpu"))]
    #[test]
    fn engines_that_are_not_built() {
        for text in ["gpu", "gpu:0,2", "gpu:0,2+cpu", "cpu+gpu"] {
            assert_eq!(engines(text), Err("this program was built without the GPU engine".to_owned()), "{text}");
        }
    }

    #[test]
    fn engines_that_are_not_there() {
        for text in ["", "cpu+", "+", "cpu:", "cpu:mmx", "cpu+cpu:portable", "auto+cpu", "auto:1", "fpga"] {
            assert!(engines(text).is_err(), "{text}");
        }
    }
}
