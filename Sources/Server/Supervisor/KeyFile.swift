internal import ChimeraEventLoop
internal import Glibc

/// A file that the supervisor opens for a data plane without root's rights: one with a private key or a certificate in
/// PEM form, and no other.
enum KeyFile {
    private static let bytesMax = 1 << 20
    private static let marks = ["PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"]

    /// The open file.
    ///
    /// - Throws: what the system refuses; EACCES for a file of another kind.
    static func open(_ path: String) throws(SystemError) -> Int32 {
        guard path.hasPrefix("/") else { throw SystemError("open", EINVAL) }
        // O_NONBLOCK: a named pipe must not hold the supervisor up.
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SystemError("open", errno) }
        guard isKey(descriptor) else {
            close(descriptor)
            throw SystemError("open", EACCES)
        }
        return descriptor
    }

    private static func isKey(_ descriptor: Int32) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_size <= bytesMax
        else { return false }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return false }
        // Where it stands in the file is the receiver's to choose.
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        return text.hasPrefix("-----BEGIN ") && marks.contains(where: text.contains)
    }
}
