internal import ChimeraBytes

/// What a client says of a response's priority (RFC 9218 §4).
package struct Priority: Equatable, Sendable {
    /// 0 for the most urgent, 7 for the least (RFC 9218 §4.1).
    package var urgency: UInt8 = 3
    /// The client can use it part by part, so it may be sent beside others (RFC 9218 §4.2).
    package var incremental = false
    /// The client said something, be it the defaults.
    package var isExplicit = false

    package init() {}

    package init(urgency: UInt8, incremental: Bool) {
        self.urgency = min(7, urgency)
        self.incremental = incremental
        isExplicit = true
    }

    /// Reads a Priority field value, a dictionary of RFC 8941 of which `u` and `i` are known here. What is no valid
    /// dictionary is ignored (RFC 9218 §4), as are values of other types and out of range.
    package init(parsing value: Span<UInt8>) {
        var read = Priority()
        read.isExplicit = true
        var (index, end) = (0, -1)
        while !value.isEmpty && end < value.count {
            end = index
            while end < value.count && value[end] != UInt8(ascii: ",") { end += 1 }
            let member = value.extracting(value.trimmingWhitespace(index..<end))
            guard read.take(member) else {
                self.init()
                return
            }
            index = end + 1
        }
        self = read
    }

    /// One member: a key, and after an equals sign its value; parameters are ignored.
    ///
    /// - Returns: false for what is no member.
    private mutating func take(_ member: Span<UInt8>) -> Bool {
        var keyEnd = 0
        while keyEnd < member.count, Self.mayBeInKey(member[keyEnd], isFirst: keyEnd == 0) { keyEnd += 1 }
        guard keyEnd > 0 else { return false }
        var rest = member.extracting(keyEnd..<member.count)
        if rest.count > 0, rest[0] != UInt8(ascii: "="), rest[0] != UInt8(ascii: ";") { return false }
        if let semicolon = rest.firstIndex(of: UInt8(ascii: ";")) { rest = rest.extracting(0..<semicolon) }
        guard keyEnd == 1 else { return true }
        switch member[0] {
        case UInt8(ascii: "u"):
            // A sign, a fraction or two digits make it another type or put it out of range.
            guard rest.count == 2, rest[1] >= UInt8(ascii: "0"), rest[1] <= UInt8(ascii: "7") else {
                return true
            }
            urgency = rest[1] - UInt8(ascii: "0")
        case UInt8(ascii: "i"):
            if rest.count == 0 || rest.equals("=?1") { incremental = true }
            if rest.equals("=?0") { incremental = false }
        default: break
        }
        return true
    }

    /// RFC 8941 §3.1.2.
    private static func mayBeInKey(_ octet: UInt8, isFirst: Bool) -> Bool {
        if octet &- 0x61 < 26 || octet == UInt8(ascii: "*") { return true }
        return !isFirst
            && (octet.isDigit || octet == UInt8(ascii: "_") || octet == UInt8(ascii: "-")
                || octet == UInt8(ascii: "."))
    }
}

/// What clients said of streams before these were opened (RFC 9218 §7), the last of each.
struct EarlyPriorities {
    private var entries: ContiguousArray<(id: UInt32, priority: Priority)> = []

    var isEmpty: Bool { entries.isEmpty }

    /// Keeps it until the stream opens.
    ///
    /// - Parameter countMax: how many streams there may be of which something is kept.
    /// - Returns: false where it is of one too many, and not kept.
    mutating func add(_ id: UInt32, _ priority: Priority, countMax: Int) -> Bool {
        if let index = entries.firstIndex(where: { $0.id == id }) {
            entries[index].priority = priority
            return true
        }
        guard entries.count < countMax else { return false }
        entries.append((id, priority))
        return true
    }

    /// What was said of a stream that opens; those before it can open no more (RFC 9113 §5.1.1).
    mutating func take(_ id: UInt32) -> Priority? {
        let priority = entries.first { $0.id == id }?.priority
        entries.removeAll { $0.id <= id }
        return priority
    }
}
