internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// Wakes a thread that waits with a time limit; an eventfd, so that whoever wakes never waits for a lock.
final class WakeEvent: Sendable {
    private let descriptor: Int32

    /// - Throws: `SystemError` when the kernel gives no descriptor.
    init() throws(SystemError) {
        descriptor = try SystemError.check(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "eventfd")
    }

    deinit { close(descriptor) }

    /// Wakes whoever waits, or who waits next; from any thread.
    func signal() {
        var one: UInt64 = 1
        // It fails only where the counter is full, and then a signal is under way.
        _ = write(descriptor, &one, 8)
    }

    /// Waits for a signal and takes it.
    ///
    /// - Returns: false when so many milliseconds passed without one.
    @discardableResult
    func wait(milliseconds: Int64) -> Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&polled, 1, Int32(clamping: max(0, milliseconds))) > 0 else { return false }
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return true
    }
}
