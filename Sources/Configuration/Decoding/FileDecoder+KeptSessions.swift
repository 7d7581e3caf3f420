/// What `session` says of whose its program is, and how long it is kept.
extension FileDecoder {
    /// The most of what a single option may ask of the machine.
    private static let replayBytesMax: Int64 = 16 << 20
    private static let resumeMillisecondsMax: Int64 = 24 * 3_600_000
    private static let poolMax = 64

    /// Options that do not go together, the second of which is the mistake, and why.
    private static let conflicts: [(String, String, String)] = [
        ("shared", "resume", "a program for all clients has none that could come back to it"),
        ("shared", "pool", "there is one program for all clients"),
        ("shared", "request", "it is told of requests with `tag=json`"),
        ("shared", "pty", "a terminal is one client's"),
        ("pty", "request", "a terminal has no first line"),
    ]

    func setKeeping(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        let isShared = arguments.isOn("shared") ?? false
        target.tellsRequest = arguments.text("request") == "line"
        let given: Set<String> = Set(
            (isShared ? ["shared"] : []) + (target.hasTerminal ? ["pty"] : [])
                + (target.tellsRequest ? ["request"] : [])
                + ["resume", "pool"].filter { arguments.first($0) != nil })
        for (one, other, why) in Self.conflicts where given.contains(one) && given.contains(other) {
            guard let item = arguments.first(other) else { continue }
            report(item.token, "`\(other)=` does not go with `\(one)=`: \(why)")
            return false
        }
        return setReplay(arguments, isShared, &target) && setPool(arguments, &target)
            && setSharing(arguments, isShared, &target)
    }

    private func setReplay(_ arguments: Arguments, _ isShared: Bool, _ target: inout SessionTarget) -> Bool {
        if let item = arguments.first("resume"), let text = milliseconds(item) {
            guard (1_000...Self.resumeMillisecondsMax).contains(text) else {
                reportMismatch(item.token, "between 1s and 24h")
                return false
            }
            target.resumeMilliseconds = text
        }
        if target.resumeMilliseconds != nil, target.framing.hasLengths, let item = arguments.first("framing")
        {
            report(
                item.token,
                "`framing=\(target.framing.rawValue)` does not go with `resume=`: what is replayed may begin in the middle of a message"
            )
            return false
        }
        guard let item = arguments.first("replay"), let bytes = arguments.bytes("replay") else { return true }
        guard isShared || target.resumeMilliseconds != nil else {
            report(item.token, "`replay=` is for `resume=` or `shared=on`")
            return false
        }
        guard (1024...Self.replayBytesMax).contains(bytes) else {
            reportMismatch(item.token, "between 1KiB and 16MiB")
            return false
        }
        target.replayBytes = bytes
        return true
    }

    private func setPool(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        guard let item = arguments.first("pool"), let count = arguments.number("pool") else { return true }
        guard (1...Self.poolMax).contains(count) else {
            reportMismatch(item.token, "between 1 and \(Self.poolMax)")
            return false
        }
        target.poolCount = count
        return true
    }

    private func setSharing(_ arguments: Arguments, _ isShared: Bool, _ target: inout SessionTarget) -> Bool {
        guard isShared else {
            for key in ["tag", "start", "linger"] {
                guard let item = arguments.first(key) else { continue }
                report(item.token, "`\(key)=` is for `shared=on`")
                return false
            }
            return true
        }
        if target.framing.hasLengths, let item = arguments.first("framing") {
            report(
                item.token,
                "`framing=\(target.framing.rawValue)` does not go with `shared=`: a client may come in the middle of a message"
            )
            return false
        }
        var sharing = SessionTarget.Sharing()
        if let name = arguments.text("tag") { sharing.tag = .init(rawValue: name) ?? .prefix }
        if let name = arguments.text("start") { sharing.start = .init(rawValue: name) ?? .client }
        if let item = arguments.first("linger"), let time = milliseconds(item) {
            guard sharing.start == .client else {
                report(item.token, "`linger=` does not go with `start=load`: the program always runs")
                return false
            }
            sharing.lingerMilliseconds = time
        }
        target.sharing = sharing
        return true
    }

    private func milliseconds(_ item: Arguments.Item) -> Int64? {
        if case .timeLimit(.milliseconds(let time)) = item.value { time } else { nil }
    }
}
