internal import ChimeraEventLoop
internal import Glibc

/// Where the access log goes.
package enum AccessLogTarget: Sendable, Equatable {
    case standardOutput
    /// A file, which is appended to, and created with mode 0640.
    case file(path: String)
}

/// The open file of the access log. Only the writer's thread holds it.
struct AccessLogSink: ~Copyable {
    enum Outcome: Equatable {
        /// So many bytes went, at least one.
        case wrote(Int)
        /// A pipe that nobody empties.
        case blocked
        case failed(SystemError)
    }

    private let target: AccessLogTarget
    private let descriptor: Int32
    /// The last write ended inside a line.
    private(set) var isMidLine = false

    init(_ target: AccessLogTarget) throws(SystemError) {
        self.target = target
        descriptor = try AccessLogSink.open(target)
    }

    deinit { if descriptor != STDOUT_FILENO { close(descriptor) } }

    /// Writes what goes at once. Only a file or a pipe in blocking mode makes the thread wait here.
    mutating func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        while true {
            let count = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            if count > 0 {
                isMidLine = bytes[count - 1] != UInt8(ascii: "\n")
                return .wrote(count)
            }
            // A write of something that takes nothing and reports nothing has no more to say than "full".
            let number = count == 0 ? ENOSPC : errno
            if number == EINTR { continue }
            if number == EAGAIN || number == EWOULDBLOCK { return .blocked }
            return .failed(SystemError("write", number))
        }
    }

    /// Waits until a pipe takes more, but no longer than that.
    func waitUntilWritable(milliseconds: Int32) {
        var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&polled, 1, milliseconds)
    }

    /// Opens the target again by its name, which now may lead to another file.
    func reopened() throws(SystemError) -> AccessLogSink {
        try AccessLogSink(target)
    }

    /// Whether the file's name no longer leads to the open file, as after a rotation.
    var wasRenamed: Bool {
        guard case .file(let path) = target else { return false }
        var named = stat()
        var opened = stat()
        guard fstat(descriptor, &opened) == 0 else { return false }
        guard stat(path, &named) == 0 else { return errno == ENOENT }
        return named.st_ino != opened.st_ino || named.st_dev != opened.st_dev
    }

    private static func open(_ target: AccessLogTarget) throws(SystemError) -> Int32 {
        guard case .file(let path) = target else { return STDOUT_FILENO }
        // O_NONBLOCK so that a named pipe without a reader is an error here and no wait.
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        return try SystemError.check(Glibc.open(path, flags, 0o640), "open \(path)")
    }
}
