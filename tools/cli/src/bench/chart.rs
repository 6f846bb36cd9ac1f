//! `--chart FILE.svg`: what was measured as a picture.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use spacetime_benches::chart::Chart;

use crate::Failure;

/// What our charts begin with: by it a chart is told from any other file.
const MARK: &str = "<!-- spacetime bench -->\n";

/// Where the chart goes.
#[derive(Debug, Args)]
pub(crate) struct ChartFlag {
    /// Draws the results into this file as SVG. An earlier chart is replaced; any other file is left alone.
    #[arg(long, value_name = "FILE.svg", value_parser = PathBufValueParser::new().try_map(svg))]
    chart: Option<PathBuf>,
}

/// Takes a name that ends in `.svg`.
fn svg(path: PathBuf) -> Result<PathBuf, &'static str> {
    let known = path.extension().and_then(OsStr::to_str).is_some_and(|name| name.eq_ignore_ascii_case("svg"));
    if known { Ok(path) } else { Err("charts are SVG: a name that ends in .svg") }
}

impl ChartFlag {
    /// Refuses, before anything is measured, what could not be written afterwards.
    ///
    /// # Errors
    /// If a file that is no chart is in the way, or the folder is not there.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Some(path) = &self.chart else { return Ok(()) };
        let shown = path.display();
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(Failure::failed(format!("{shown}: there is no folder {}", folder.display())));
        }
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A file that nobody sees, gone again at once: whether there can be one is known before minutes of work.
                tempfile::tempfile_in(folder).with_context(|| format!("cannot write the chart {shown}"))?;
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("{shown}: cannot look at it")).map_err(Into::into),
            Ok(metadata) if metadata.is_file() && is_chart(path) => Ok(()),
            Ok(_) => Err(Failure::failed(format!("{shown}: exists and is no chart of ours: it is left alone"))),
        }
    }

    /// Draws and writes the chart, whole or not at all, if one is wanted.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, chart: impl FnOnce() -> Chart) -> Result<(), Failure> {
        let Some(path) = &self.chart else { return Ok(()) };
        let svg = chart().svg()?;
        // Something else may have come there while we measured.
        self.check()?;
        let cannot = || format!("cannot write the chart {}", path.display());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".spacetime-chart-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file: what the umask leaves.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder_of(path)).with_context(cannot)?;
        file.write_all(MARK.as_bytes()).and_then(|()| file.write_all(svg.as_bytes())).with_context(cannot)?;
        file.persist(path).with_context(cannot)?;
        tracing::info!(path = %path.display(), "chart written");
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_chart(path: &Path) -> bool {
    let mut begin = [0; MARK.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok_and(|()| begin == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(path: &Path) -> ChartFlag {
        ChartFlag { chart: Some(path.to_owned()) }
    }

    #[test]
    fn an_earlier_chart_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.svg");
        for title in ["first", "second"] {
            let chart = Chart { title: title.to_owned(), groups: Vec::new() };
            flag(&path).check().expect("nothing of others is in the way");
            flag(&path).write(|| chart).expect("a small file");
            assert!(std::fs::read_to_string(&path).expect("a chart").contains(title));
        }
        for other in ["", "<svg/>", "precious"] {
            std::fs::write(&path, other).expect("a small file");
            assert!(flag(&path).check().is_err());
            assert!(flag(&path).write(Chart::default).is_err());
            assert_eq!(std::fs::read_to_string(&path).expect("it is there"), other);
        }
        assert!(flag(folder.path()).check().is_err(), "a folder");
        assert!(flag(&folder.path().join("missing/x.svg")).check().is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("our folder").count(), 1);
    }

    #[test]
    fn only_svg_is_drawn() {
        for name in ["x.svg", "folder/x.SVG"] {
            assert!(svg(name.into()).is_ok(), "{name}");
        }
        for name in ["x.png", "x", "svg", ".svg", "x.svg.gz", ""] {
            assert!(svg(name.into()).is_err(), "{name}");
        }
    }
}
