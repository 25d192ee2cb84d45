use super::*;

/// A writer with so much room.
struct Small(usize);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/one"), b"first").unwrap();
    fs::write(folder.path().join("a/b/two"), vec![7; 600_000]).unwrap();
    fs::write(folder.path().join("empty"), b"").unwrap();
    fs::write(folder.path().join("lock"), b"left out").unwrap();
    folder
}

fn packed(folder: &Path) -> Vec<u8> {
    let members = members(folder, &|path| path != Path::new("lock")).unwrap();
    let mut bytes = Vec::new();
    let first = (Path::new("state.json"), &b"{}"[..]);
    let told = pack(folder, first, &members, Path::new("out"), &mut bytes).unwrap();
    assert_eq!(told, Packed { files: 4, bytes: 600_007 });
    bytes
}

fn refused(bytes: &[u8]) -> Refusal {
    let target = tempfile::tempdir().unwrap();
    let from = target.path().join("from");
    fs::write(&from, bytes).unwrap();
    unpack(&from, &target.path().join("into")).unwrap_err()
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let source = folder();
    let target = tempfile::tempdir().unwrap();
    let from = target.path().join("from");
    fs::write(&from, packed(source.path())).unwrap();
    let into = target.path().join("into");
    assert_eq!(unpack(&from, &into).unwrap(), Packed { files: 4, bytes: 600_007 });
    assert_eq!(fs::read(into.join("a/b/two")).unwrap(), vec![7; 600_000]);
    assert_eq!(fs::read(into.join("state.json")).unwrap(), b"{}");
    assert_eq!(fs::read(into.join("empty")).unwrap(), b"");
    assert!(!into.join("lock").exists());
}

#[test]
fn every_cut_and_every_altered_byte_is_noticed() {
    let bytes = packed(folder().path());
    let places =
        (0..bytes.len()).filter(|at| *at < 400 || *at + 400 > bytes.len() || at % 9_973 == 0);
    for at in places {
        assert_eq!(refused(&bytes[..at]).code, Code::BadNetworkCopy, "cut off at {at}");
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let refusal = refused(&altered);
        let known = [Code::BadNetworkCopy, Code::NoRoom].contains(&refusal.code);
        assert!(known, "byte {at}: {refusal}");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain(*b"x").collect();
    assert!(refused(&longer).what.contains("after its end"));
    assert!(refused(b"PK\x03\x04 something else\n").what.contains("no snapshot"));
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in ["/etc/passwd", "../up", "a/../../up", ".", "", "a/./b/../c"] {
        let head = line("", &Head { path: path.to_owned(), length: 0, mode: 0o600 }).unwrap();
        let bytes = [MAGIC.as_bytes(), &head].concat();
        let refusal = refused(&bytes);
        assert!(refusal.what.contains("leads elsewhere"), "{path}: {refusal}");
    }
    let link = folder();
    std::os::unix::fs::symlink("/etc", link.path().join("link")).unwrap();
    assert_eq!(members(link.path(), &|_| true).unwrap_err().code, Code::BadNetworkCopy);
}

#[test]
fn a_full_disk_and_a_file_that_grows_are_told() {
    let source = folder();
    let mut all = members(source.path(), &|_| true).unwrap();
    let first = (Path::new("state.json"), &b"{}"[..]);
    let full = pack(source.path(), first, &all, Path::new("out"), Small(10_000)).unwrap_err();
    assert_eq!(full.code, Code::NoRoom);
    all[0].length += 1;
    let grown = pack(source.path(), first, &all, Path::new("out"), Vec::new()).unwrap_err();
    assert!(grown.what.contains("changes while it is read"), "{grown}");
    all[0].length -= 2;
    let shorter = pack(source.path(), first, &all, Path::new("out"), Vec::new()).unwrap_err();
    assert!(shorter.what.contains("changes while it is read"), "{shorter}");
}
