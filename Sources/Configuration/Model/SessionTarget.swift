/// `session … -- COMMAND…`: a program for each WebSocket client.
package struct SessionTarget: Sendable, Hashable {
    package enum Framing: String, CaseIterable, Sendable {
        /// A line is a text message, and a message is a line.
        case lines
        /// What was written at once is a binary message.
        case raw
        /// A message has its length before it, as four octets.
        case length
    }

    package enum ErrorOutput: String, CaseIterable, Sendable {
        case log, inline, off
    }

    /// An absolute path.
    package var program: String
    /// At least one; the first is the program as it was written.
    package var command: [String]
    /// An absolute path.
    package var directory: String
    package var framing = Framing.lines
    package var errorOutput = ErrorOutput.log
    /// Hosts whose pages may connect, beside the site's own.
    package var origins: [HostPattern] = []
    /// Bytes of a client's message.
    package var messageBytesMax: Int64 = 1 << 20
    /// Whether compression is agreed to.
    package var compresses = true
    package var ping = TimeLimit.milliseconds(30_000)
    package var pong = TimeLimit.milliseconds(20_000)
    package var idle = TimeLimit.unlimited
    package var life = TimeLimit.unlimited
    /// From the end of the program's input to SIGTERM, in milliseconds.
    package var terminateMilliseconds: Int64 = 2_000
    /// From SIGTERM to SIGKILL.
    package var killMilliseconds: Int64 = 5_000
    /// `NAME=VALUE`, beside what every program gets.
    package var environment: [String] = []
    package var hasTerminal = false
    /// It was said that a terminal needs no guard.
    package var isOpen = false
    /// It was said that the program runs as root.
    package var mayBeRoot = false
    package var resources = Resources()

    /// What bounds the program; nil is no bound.
    package struct Resources: Sendable, Hashable {
        /// Octets of all its processes together.
        package var memory: Int64?
        package var processes: Int?
        /// Hundredths of a core, of all its processes together.
        package var cpuPercent: Int?
        /// Descriptors of each process.
        package var files: Int?
        /// Seconds of processor time of each process.
        package var cpuSeconds: Int?
    }

    package init(program: String, command: [String], directory: String) {
        self.program = program
        self.command = command
        self.directory = directory
    }
}
