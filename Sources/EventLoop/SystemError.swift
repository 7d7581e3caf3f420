internal import CLinux
internal import Glibc

/// A system call that failed: its name and its error number.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    package let call: String
    package let number: Int32

    package init(_ call: String, _ number: Int32) {
        self.call = call
        self.number = number
    }

    package var description: String { "\(call): \(message)" }

    /// The system's text for the error number.
    package var message: String { String(cString: strerror(number)) }

    /// The call's result, or the error that it set.
    @discardableResult
    package static func check(_ result: Int32, _ call: String) throws(SystemError) -> Int32 {
        if result < 0 { throw SystemError(call, errno) }
        return result
    }
}

/// The clocks of the machine.
package enum Clock {
    /// Milliseconds of a clock that never goes back.
    package static func monotonicMilliseconds() -> Int64 {
        monotonicNanoseconds() / 1_000_000
    }

    /// Nanoseconds of a clock that never goes back.
    package static func monotonicNanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension SystemError {
    /// Nobody listens there.
    package var isRefusal: Bool { number == ECONNREFUSED || number == ENOENT }

    /// The process or the machine has no descriptor left.
    package var isExhaustion: Bool { number == EMFILE || number == ENFILE }

    /// There is no room for another process, for its memory or for its descriptors.
    package var isShortage: Bool { isExhaustion || number == EAGAIN || number == ENOMEM }
}
