/// Reads from the answer of a name server how long it may be used (RFC 1035 §4.1): pure, and of bytes that anyone on
/// the way may have made.
///
/// ```
/// head (12) │ questions: name, type, class │ answers: name, type, class, time to live, length, data │ …
/// ```
enum TimeToLive {
    private static let headBytes = 12
    /// Type, class, time to live and length: what stands between a record's name and its data.
    private static let recordBytes = 10
    private static let internet: UInt32 = 1

    /// The types of records that lead from a name to an address.
    private enum RecordType: UInt32 {
        case v4 = 1
        case alias = 5
        case v6 = 28
    }

    /// The least time to live of the records that lead to an address, aliases included, in seconds.
    ///
    /// - Returns: nil where there is no address among them, the server reports an error, or the message is malformed.
    static func seconds(in message: Span<UInt8>) -> UInt32? {
        // RFC 1035 §4.1.1: an answer (QR), of no error (RCODE).
        guard message.count >= headBytes, message[2] & 0x80 != 0, message[3] & 0x0F == 0 else { return nil }
        var at = headBytes
        for _ in 0..<number(message, at: 4, bytes: 2) {
            guard skipName(message, &at), at + 4 <= message.count else { return nil }
            at += 4
        }
        var least: UInt32?
        var hasAddress = false
        for _ in 0..<number(message, at: 6, bytes: 2) {
            guard skipName(message, &at), at + recordBytes <= message.count else { return nil }
            let type = RecordType(rawValue: number(message, at: at, bytes: 2))
            let isInternet = number(message, at: at + 2, bytes: 2) == internet
            let time = number(message, at: at + 4, bytes: 4)
            at += recordBytes + Int(number(message, at: at + 8, bytes: 2))
            guard at <= message.count else { return nil }
            guard let type, isInternet else { continue }
            if type != .alias { hasAddress = true }
            // RFC 2181 §8: a time with its highest bit set counts as zero.
            least = min(least ?? .max, time >> 31 == 0 ? time : 0)
        }
        return hasAddress ? least : nil
    }

    /// A number in network order; the caller has seen that it is there.
    private static func number(_ message: Span<UInt8>, at start: Int, bytes: Int) -> UInt32 {
        var value: UInt32 = 0
        for index in start..<start + bytes { value = value << 8 | UInt32(message[index]) }
        return value
    }

    /// Moves behind a name: labels, or a pointer to where the rest of it stands (RFC 1035 §4.1.4), which is not followed.
    private static func skipName(_ message: Span<UInt8>, _ at: inout Int) -> Bool {
        while at < message.count {
            let length = message[at]
            switch length >> 6 {
            case 0b00:
                at += 1 + Int(length)
                if length == 0 { return true }
            case 0b11:
                at += 2
                return at <= message.count
            default: return false
            }
        }
        return false
    }
}
