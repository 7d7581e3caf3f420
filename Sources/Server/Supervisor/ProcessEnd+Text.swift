internal import Glibc

extension ProcessEnd {
    /// What `waitpid` says of a process that has ended.
    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited(waitStatus >> 8 & 0xFF) : .signalled(signal)
    }

    /// For people: `exit status 3`, `signal 11 (Segmentation fault)`.
    var text: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let number):
            "signal \(number) (\(strsignal(number).map { String(cString: $0) } ?? "unknown"))"
        }
    }
}
