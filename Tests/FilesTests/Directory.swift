import Glibc

/// A directory that goes when the test does.
final class Directory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/chimera-files-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no temporary directory")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Directory.remove(path) }

    /// Writes a file, and the directories above it. It was last written on 14 November 2023 unless `modified`
    /// says something else; nil is now.
    func write(_ name: String, _ content: [UInt8], modified: (Int, Int)? = (1_700_000_000, 5)) {
        makeDirectories(above: name)
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        precondition(file >= 0, "cannot write \(name)")
        var written = 0
        while written < content.count {
            let count = content[written...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            precondition(count > 0)
            written += count
        }
        close(file)
        if let modified { setModified(name, modified) }
    }

    func write(_ name: String, _ content: String, modified: (Int, Int)? = (1_700_000_000, 5)) {
        write(name, Array(content.utf8), modified: modified)
    }

    func setModified(_ name: String, _ time: (Int, Int)) {
        let times = [
            timespec(tv_sec: time.0, tv_nsec: time.1), timespec(tv_sec: time.0, tv_nsec: time.1),
        ]
        precondition(utimensat(AT_FDCWD, "\(path)/\(name)", times, 0) == 0)
    }

    func makeDirectory(_ name: String) { makeDirectories(above: name + "/x") }

    func link(_ name: String, to target: String) {
        makeDirectories(above: name)
        precondition(symlink(target, "\(path)/\(name)") == 0)
    }

    func makePipe(_ name: String) { precondition(mkfifo("\(path)/\(name)", 0o644) == 0) }

    func truncate(_ name: String, to size: Int) { precondition(Glibc.truncate("\(path)/\(name)", size) == 0) }

    func rename(_ name: String, to other: String) {
        precondition(Glibc.rename("\(path)/\(name)", "\(path)/\(other)") == 0)
    }

    func rename(_ name: String, toBytes bytes: [UInt8]) {
        let target = path.utf8CString.dropLast() + [0x2F] + bytes.map { CChar(bitPattern: $0) } + [0]
        precondition(Glibc.rename("\(path)/\(name)", Array(target)) == 0)
    }

    func remove(_ name: String) { Directory.remove("\(path)/\(name)") }

    private func makeDirectories(above name: String) {
        var place = path
        for part in name.split(separator: "/").dropLast() {
            place += "/\(part)"
            mkdir(place, 0o755)
        }
    }

    private static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR, let directory = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { remove("\(path)/\(name)") }
        }
        closedir(directory)
        rmdir(path)
    }
}
