internal import CLinux
internal import Glibc

/// What systemd is told of a service of `Type=notify` (sd_notify(3)), by the protocol that it documents.
struct SystemdNotification {
    /// The socket's path; one that begins with `@` has no file.
    private let path: String?
    /// How often systemd wants a sign of life, in milliseconds; nil for never.
    let watchdogMilliseconds: Int64?

    /// - Parameter environment: the value of a variable; nil where it is not set.
    init(environment: (String) -> String?) {
        path = environment("NOTIFY_SOCKET").flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        // The watchdog may be meant for another process.
        let isOurs = environment("WATCHDOG_PID").map { $0 == String(getpid()) } ?? true
        watchdogMilliseconds =
            isOurs ? environment("WATCHDOG_USEC").flatMap { Int64($0) }.map { $0 / 1000 } : nil
    }

    func ready() { send("READY=1\nMAINPID=\(getpid())\nSTATUS=serving") }

    /// - Parameter microseconds: the monotonic clock, which systemd compares.
    func reloading(microseconds: Int64) {
        send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)\nSTATUS=loading the configuration")
    }

    func stopping() { send("STOPPING=1\nSTATUS=draining") }

    func alive() { send("WATCHDOG=1") }

    func status(_ text: String) { send("STATUS=\(text)") }

    private func send(_ text: String) {
        guard let path else { return }
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = path.hasPrefix("@") ? [0] + Array(path.utf8.dropFirst()) : Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let message = Array(text.utf8)
        withUnsafePointer(to: &address) { pointer in
            // Sound: every socket address begins with the fields of sockaddr, and the length says how long it is.
            let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            _ = sendto(
                descriptor, message, message.count, Int32(MSG_NOSIGNAL), base, length)
        }
    }
}
