import Glibc

/// A folder of the disk that goes with the test, and short words for what happens in folders. Names are relative to it.
package final class Folder: Sendable {
    /// Absolute and without links.
    package let path: String

    package struct CannotBeMade: Error {}

    package init() throws {
        var template = Array("/tmp/chimera-folder-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil, let real = realpath(template, nil) else { throw CannotBeMade() }
        path = String(cString: real)
        free(real)
    }

    deinit { Folder.clear(path) }

    private static func clear(_ path: String) {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { clear(path + "/" + name) }
            }
            closedir(stream)
        }
        Glibc.remove(path)
    }

    package func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// Makes a folder.
    package func make(_ name: String) { mkdir(self(name), 0o755) }

    package func write(_ name: String, _ text: String = "x") {
        guard let file = fopen(self(name), "w") else { return }
        fputs(text, file)
        fclose(file)
    }

    package func move(_ from: String, _ to: String) { rename(self(from), self(to)) }

    /// A file, a link, or an empty folder.
    package func remove(_ name: String) { Glibc.remove(self(name)) }

    package func link(_ name: String, to target: String) { symlink(target, self(name)) }
}
