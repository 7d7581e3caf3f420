internal import ChimeraConfiguration
internal import Glibc

/// A configuration file that `fmt` reads and replaces.
enum TextFile {
    /// Why a file stays as it is.
    struct Failure: Error {
        let reason: String
    }

    /// Bytes of a file that `fmt` takes.
    static let bytesMax = 16 << 20

    static func read(_ path: String) throws(Failure) -> [UInt8] {
        do throws(FileFailure) {
            return try SystemFileSystem().read(path, atMost: bytesMax)
        } catch {
            throw Failure(reason: "this file \(error.reason)")
        }
    }

    /// Puts a new file in the place of the old one, with its mode: whoever reads meanwhile sees one or the
    /// other, and never half of it. A symbolic link stays, and the file that it leads to is replaced.
    static func replace(_ path: String, with text: String) throws(Failure) {
        guard let resolved = realpath(path, nil) else { throw failure() }
        defer { free(resolved) }
        let target = String(cString: resolved)
        var status = stat()
        guard stat(target, &status) == 0 else { throw failure() }
        var name = Array((target + ".XXXXXX").utf8CString)
        let descriptor = mkstemp(&name)
        guard descriptor >= 0 else { throw failure() }
        let isWritten =
            write(text, to: descriptor) && fchmod(descriptor, status.st_mode & 0o7777) == 0
            && fsync(descriptor) == 0
        let problem = errno
        close(descriptor)
        guard isWritten else {
            unlink(name)
            throw failure(problem)
        }
        guard rename(name, target) == 0 else {
            let problem = errno
            unlink(name)
            throw failure(problem)
        }
    }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    private static func failure(_ number: Int32 = errno) -> Failure {
        Failure(reason: String(cString: strerror(number)))
    }
}
