/// `session … -- COMMAND…`: a program for each WebSocket client.
package struct SessionTarget: Sendable, Hashable {
    package enum Framing: String, CaseIterable, Sendable {
        /// A line is a text message, and a message is a line.
        case lines
        /// What was written at once is a binary message.
        case raw
        /// A message has its length before it, as four octets.
        case length
        /// A message has its type before it, as one octet, and then its length.
        case typed

        /// A message's length stands before it.
        package var hasLengths: Bool { self == .length || self == .typed }
    }

    package enum ErrorOutput: String, CaseIterable, Sendable {
        case log, inline, off
    }

    /// How a program that has several clients is told whose message it reads.
    package enum Tag: String, CaseIterable, Sendable {
        /// The client's number and a space before each line.
        case prefix
        /// A JSON object for each message, and for clients that come and go.
        case json
        case off
    }

    /// When a program for all clients is started.
    package enum Start: String, CaseIterable, Sendable {
        /// With the first of them.
        case client
        /// With the configuration, and again whenever it has ended.
        case load
    }

    /// One program for all clients.
    package struct Sharing: Sendable, Hashable {
        package var tag = Tag.prefix
        package var start = Start.client
        /// How long it runs without clients, in milliseconds.
        package var lingerMilliseconds: Int64 = 10_000

        package init() {}
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
    /// A POST without a WebSocket is served as well.
    package var answersHTTP = false
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

        package init() {}
    }
    /// How long the program lives without its client, in milliseconds; nil: it ends with that.
    package var resumeMilliseconds: Int64?
    /// Bytes of output that are kept for a client that comes back, or is slow among several.
    package var replayBytes: Int64 = 64 * 1024
    /// Programs that wait for clients.
    package var poolCount = 0
    /// Nil: each client has a program of its own.
    package var sharing: Sharing?
    /// The first that the program reads is the request.
    package var tellsRequest = false

    package init(program: String, command: [String], directory: String) {
        self.program = program
        self.command = command
        self.directory = directory
    }
}
