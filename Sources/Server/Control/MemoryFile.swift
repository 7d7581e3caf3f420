internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// Octets that go from one process to another as a descriptor, since a packet has no room for them.
enum MemoryFile {
    private static let octetsMax = 64 << 20

    /// A file in memory with this content; nil where the system gives none. The caller closes it.
    static func make(_ bytes: [UInt8]) -> Int32? {
        let file = chimera_memory_file()
        guard file >= 0 else { return nil }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                close(file)
                return nil
            }
            done += count
        }
        return file
    }

    /// What such a file holds; nil for any other descriptor.
    static func content(of file: Int32) -> [UInt8]? {
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            (0...Int64(octetsMax)).contains(Int64(status.st_size))
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeMutableBytes {
                pread(file, $0.baseAddress, $0.count, off_t(done))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return nil }
            done += count
        }
        return bytes
    }
}
