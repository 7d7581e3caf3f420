internal import ChimeraBytes

/// The names of fields that say on whose behalf a request is passed on.
package enum ForwardingNames {
    /// Whether `name`, with `_` read as `-`, is one of them: `Forwarded` (RFC 7239), `X-Real-IP`, or any that begins with
    /// `X-Forwarded`.
    package static func contains(_ name: Span<UInt8>) -> Bool {
        if matches(name, "x-forwarded") { return true }
        return name.count == 9 ? matches(name, "x-real-ip") || matches(name, "forwarded") : false
    }

    /// Whether `name` is `other` in whatever case and with `_` for `-` anywhere, though not the same name.
    package static func isAlias(_ name: Span<UInt8>, of other: Span<UInt8>) -> Bool {
        guard name.count == other.count else { return false }
        var differs = false
        for index in 0..<name.count where name[index].lowercased != other[index].lowercased {
            guard isDash(name[index]), isDash(other[index]) else { return false }
            differs = true
        }
        return differs
    }

    private static func isDash(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }

    /// Whether `name` begins with `prefix`.
    private static func matches(_ name: Span<UInt8>, _ prefix: StaticString) -> Bool {
        guard name.count >= prefix.utf8CodeUnitCount else { return false }
        for index in 0..<prefix.utf8CodeUnitCount {
            let byte = name[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : name[index].lowercased
            if byte != prefix.utf8Start[index] { return false }
        }
        return true
    }
}
