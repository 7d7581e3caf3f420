internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// A system call's error number.
struct ErrorNumber: Error, Equatable {
    let value: Int32

    static var current: ErrorNumber { ErrorNumber(value: chimera_errno()) }
}

/// A file just opened, with what was true of it then. Closes its descriptor unless somebody takes it.
final class OpenedFile {
    private(set) var descriptor: Int32
    private(set) var stamp: FileStamp
    let isDirectory: Bool
    let isRegular: Bool

    /// Takes over `descriptor`.
    init(_ descriptor: Int32) throws(ErrorNumber) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = ErrorNumber.current
            FileDescriptors.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        stamp = FileStamp(status)
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        isRegular = status.st_mode & S_IFMT == S_IFREG
    }

    deinit { if descriptor >= 0 { FileDescriptors.close(descriptor) } }

    /// Looks again.
    ///
    /// - Returns: whether nothing has changed since the last look.
    func isUnchanged() -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        let before = stamp
        stamp = FileStamp(status)
        return stamp == before
    }

    /// Gives the descriptor away, together with the duty to close it.
    func take() -> Int32 {
        defer { descriptor = -1 }
        return descriptor
    }

    /// Reads the whole file as it is by its stamp's size.
    ///
    /// - Returns: nil where it has become shorter, or cannot be read.
    func read() -> [UInt8]? {
        let size = Int(stamp.size)
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { room, count in
            while count < size {
                let got = pread(descriptor, room.baseAddress! + count, size - count, off_t(count))
                if got < 0 && chimera_errno() == EINTR { continue }
                if got <= 0 { return }
                count += got
            }
        }
        return bytes.count == size ? bytes : nil
    }
}

/// A directory out of which no path and no symbolic link leads. Blocks; for threads of the pool.
///
/// It is opened for each load and not kept: a directory that is itself a link may point elsewhere next time,
/// and ten thousand sites would be as many descriptors.
final class RootDirectory {
    private let descriptor: Int32

    init(
        _ path: String, confinedTo base: String?, confinementIsReal: Bool = false
    ) throws(ErrorNumber) {
        if let base, base != path {
            guard let rest = RootDirectory.relative(path, to: base) else { throw ErrorNumber(value: EXDEV) }
            descriptor = try RootDirectory(base, confinedTo: base, confinementIsReal: confinementIsReal)
                .open(rest).take()
        } else {
            let place = chimera_open_place(AT_FDCWD, path)
            guard place >= 0 else { throw ErrorNumber.current }
            if confinementIsReal, RootDirectory.path(of: place) != Array(path.utf8) {
                FileDescriptors.close(place)
                throw ErrorNumber(value: EXDEV)
            }
            descriptor = place
        }
    }

    deinit { FileDescriptors.close(descriptor) }

    /// Opens what is at `path`, a relative one, for reading; the caller looks at what it is.
    ///
    /// It never waits for the writer of a FIFO, nor becomes a terminal's.
    func open(_ path: [UInt8]) throws(ErrorNumber) -> OpenedFile {
        let name = path.map { CChar(bitPattern: $0) } + [0]
        for _ in 0..<RootDirectory.attemptsMax {
            let file = chimera_open_beneath(descriptor, name, RootDirectory.flags)
            if file >= 0 { return try OpenedFile(file) }
            switch chimera_errno() {
            // A rename was seen half way (EAGAIN), or a signal came.
            case EAGAIN, EINTR: continue
            // No such call, or a sandbox that does not know it; or a link with an absolute target, which may
            // well be inside.
            case ENOSYS, EPERM, EXDEV: return try openChecked(name)
            default: throw ErrorNumber.current
            }
        }
        throw ErrorNumber(value: EAGAIN)
    }

    /// Opens by asking where the path has led before anything is read there. What is asked about is the
    /// opened place itself, so nobody can put another there in between.
    func openChecked(_ name: [CChar]) throws(ErrorNumber) -> OpenedFile {
        let place = chimera_open_place(descriptor, name)
        guard place >= 0 else { throw ErrorNumber.current }
        defer { FileDescriptors.close(place) }
        guard let root = RootDirectory.path(of: descriptor), let target = RootDirectory.path(of: place),
            target == root
                || target.starts(with: root == [UInt8(ascii: "/")] ? root : root + [UInt8(ascii: "/")])
        else { throw ErrorNumber(value: EXDEV) }
        let file = Glibc.open("/proc/self/fd/\(place)", RootDirectory.flags)
        guard file >= 0 else { throw ErrorNumber.current }
        return try OpenedFile(file)
    }

    /// Where an open descriptor is in the file system, free of links.
    private static func path(of descriptor: Int32) -> [UInt8]? {
        let path = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { room, count in
            room.withMemoryRebound(to: CChar.self) { text in
                count = max(0, readlink("/proc/self/fd/\(descriptor)", text.baseAddress!, text.count))
            }
        }
        return path.isEmpty || path.count == Int(PATH_MAX) ? nil : path
    }

    /// What leads from `base` to `path`, which is below it by its spelling; nil where it is not.
    private static func relative(_ path: String, to base: String) -> [UInt8]? {
        let prefix = base.hasSuffix("/") ? base : base + "/"
        guard path.hasPrefix(prefix) else { return nil }
        let rest = path.utf8.dropFirst(prefix.utf8.count).drop { $0 == UInt8(ascii: "/") }
        return rest.isEmpty ? [UInt8(ascii: ".")] : Array(rest)
    }

    private static let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    private static let attemptsMax = 8
}
