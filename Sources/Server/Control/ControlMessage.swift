/// What the supervisor and a data plane tell each other: a kind, and fields that are found by their tags.
///
/// ```
///  octet 0      the format, 1
///  octet 1      the kind
///  then fields: tag (1 octet), length (4 octets, big-endian), value
/// ```
/// An upgrade lets two versions talk: a kind or a tag that one side does not know is passed over, a field that is
/// missing has a meaning, and the numbers here are never given another one.
struct ControlMessage: Equatable, Sendable {
    /// What a message is about. From 1 the data plane tells, from 64 the supervisor.
    enum Kind: UInt8, Sendable {
        /// Asks for the sockets of an address: `request`, `address`, `count`; answered by `sockets` or `refused`.
        case listen = 1
        /// Nobody accepts there any more: `address`.
        case unlisten = 2
        /// It serves: `version`, `milliseconds` of its drain.
        case ready = 3
        /// Where the supervisor is to take the operator's questions: `text`, the path of a Unix socket.
        case administer = 4
        /// A configuration is loaded.
        case reloading = 5
        /// The load has ended: `failure` where the old configuration stays.
        case reloaded = 6
        /// Asks for a file with a key or a certificate that only the supervisor may read: `request`, `text` for its path;
        /// answered by `sockets`, with the open file and `count`, which is 1 where `changed` will tell of changes, or by
        /// `refused`.
        case openKey = 7
        /// Asks for a program, see `ControlMessage.init(_:ProgramOrder)`: answered by `programStarted` or `refused`.
        case startProgram = 8
        /// A program's input has ended, and it is to end: `text` is its id.
        case endProgram = 9
        /// A signal for a program's process group: `text` is its id, `count` the signal's number.
        case signalProgram = 10
        /// A program is to outlive this data plane: `text` is its id, `token`, `facts` and `milliseconds` what its client
        /// comes back with, what the next data plane has to know, and how long it lives without; its ends as descriptors, as
        /// in `programStarted`.
        case keepProgram = 11
        /// A program's input ends, and no copy of it may stay open: `text` is its id.
        case endInput = 12
        /// Asks for the program with a `token`: `request`; answered by `programFound`, behind `programKept` where it comes.
        case findProgram = 13
        /// This data plane has let go of a program: `text` is its id, and as a descriptor what was kept of its output and its
        /// input; or has never had it, for want of descriptors: `failure`.
        case releaseProgram = 14
        /// From now on it takes the programs that others have left.
        case takesPrograms = 15

        /// Programs will have limits that need cgroups: `text` has the controllers' names, with a space between them.
        case programLimits = 20

        /// Sockets as descriptors: `request`, `count` for the port, `more` for how many are still to come.
        case sockets = 64
        /// The address cannot be had: `request`, `text` for the system call, `count` for the error number.
        case refused = 65
        /// Finish what is under way: `count` is 1 where it is for another data plane, which accepts already.
        case drain = 66
        case stopNow = 67
        case reload = 68
        case reopenLogs = 69
        /// An address is not needed any more by those who come after: `address`.
        case leave = 70
        /// A connection to the administration, as a descriptor: `text` is its request, `context` what the supervisor
        /// knows.
        case question = 71
        /// What keys of TLS session tickets come from, before anything else: `count` for the period, `text` for the secret
        /// in hexadecimal digits.
        case tickets = 72
        /// Something has changed where files are that `openKey` handed over.
        case changed = 73
        /// A program runs: `request`, `text` for its id, `count` for its process; as descriptors where it reads, and what it
        /// writes to standard output and, unless it has a terminal, to standard error.
        case programStarted = 74
        /// A program's first process has ended: `text` is its id, `count` what waitpid(2) says.
        case programEnded = 75
        /// A program that another data plane has left: as in `keepProgram`, `count` for its process, `more` for how many data
        /// planes have had it, `terminal`, and `log` 1 where the last descriptor is what was kept of its output.
        case programKept = 76
        /// All that can be said of a token was said: `request`.
        case programFound = 77
        /// Another data plane has the client of a program: let go of it. `text` is its id.
        case release = 78
    }

    /// What a field is.
    enum Tag: UInt8, Sendable {
        case request = 1
        case address = 2
        case count = 3
        case version = 4
        case milliseconds = 5
        case text = 6
        case context = 7
        case failure = 8
        case more = 9
        /// Words, with a zero octet between them.
        case arguments = 10
        /// `NAME=VALUE`, in the same way.
        case environment = 11
        case directory = 12
        /// Milliseconds from SIGTERM to SIGKILL.
        case killMilliseconds = 13
        /// 1 where a program gets a terminal.
        case terminal = 14
        case token = 15
        case facts = 16
        case log = 17
        /// What bounds a program: `NAME=NUMBER`, with a space between them.
        case limits = 30
    }

    var kind: Kind
    private(set) var fields: [Tag: [UInt8]] = [:]

    private static let format: UInt8 = 1

    init(_ kind: Kind) { self.kind = kind }

    func with(_ tag: Tag, _ text: String) -> ControlMessage {
        var copy = self
        copy.fields[tag] = Array(text.utf8)
        return copy
    }

    func with(_ tag: Tag, _ number: Int64) -> ControlMessage { with(tag, String(number)) }

    func text(_ tag: Tag) -> String? { fields[tag].map { String(decoding: $0, as: UTF8.self) } }

    func number(_ tag: Tag) -> Int64? { text(tag).flatMap { Int64($0) } }

    // MARK: On the wire

    var encoded: [UInt8] {
        var bytes = [ControlMessage.format, kind.rawValue]
        for (tag, value) in fields.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            bytes.append(tag.rawValue)
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value.count >> shift)) }
            bytes += value
        }
        return bytes
    }

    /// The message of a packet; nil for one of another format or kind, or that is malformed.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 2, bytes[0] == ControlMessage.format, let kind = Kind(rawValue: bytes[1]) else {
            return nil
        }
        self.kind = kind
        var rest = bytes[2...]
        while !rest.isEmpty {
            guard rest.count >= 5, let first = rest.first else { return nil }
            let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(5)
            guard length <= rest.count else { return nil }
            if let tag = Tag(rawValue: first) { fields[tag] = Array(rest.prefix(length)) }
            rest = rest.dropFirst(length)
        }
    }
}

extension [UInt8] {
    /// Two digits for each octet.
    var hexadecimal: String {
        var digits: [UInt8] = []
        let letters = Array("0123456789abcdef".utf8)
        for byte in self { digits += [letters[Int(byte >> 4)], letters[Int(byte & 15)]] }
        return String(decoding: digits, as: UTF8.self)
    }

    /// Nil for a text that is not pairs of hexadecimal digits.
    init?(hexadecimal text: String) {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { return nil }
        self = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            let pair = String(decoding: digits[index..<(index + 2)], as: UTF8.self)
            guard pair.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }), let byte = UInt8(pair, radix: 16) else {
                return nil
            }
            append(byte)
        }
    }
}
