internal import ChimeraBytes

/// What `Connection` says (RFC 9110 §7.6.1), told line by line.
package struct ConnectionOptions: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let close = ConnectionOptions(rawValue: 1)
    package static let keepAlive = ConnectionOptions(rawValue: 2)
    package static let upgrade = ConnectionOptions(rawValue: 4)
    /// Names a field beyond these three, which then belongs to this connection alone.
    package static let otherField = ConnectionOptions(rawValue: 8)

    /// Takes one line.
    ///
    /// - Returns: false where an option is no token; the options that are count all the same.
    @discardableResult
    package mutating func add(_ value: Span<UInt8>) -> Bool {
        var isValid = true
        var elements = ListElements(value)
        while let element = elements.next() {
            let option = value.extracting(element)
            if option.equalsIgnoringCase("keep-alive") {
                insert(.keepAlive)
            } else if option.equalsIgnoringCase("close") {
                insert(.close)
            } else if option.equalsIgnoringCase("upgrade") {
                insert(.upgrade)
            } else if option.allSatisfy(.token) {
                insert(.otherField)
            } else {
                isValid = false
            }
        }
        return isValid
    }
}

/// The fields that a proxy does not pass on, whether `Connection` names them or not (RFC 9110 §7.6.1).
package enum HopByHop {
    /// Whether `Connection` may take the field `name` off a message. Fields that frame or route it, or that
    /// the next hop decides by, may not be taken off by a sender who names them there.
    package static func mayBeNamed(_ name: Span<UInt8>) -> Bool {
        !(name.equalsIgnoringCase("host") || name.equalsIgnoringCase("content-length")
            || name.equalsIgnoringCase("cache-control") || name.equalsIgnoringCase("authorization")
            || name.equalsIgnoringCase("cookie") || name.equalsIgnoringCase("forwarded")
            || name.startsIgnoringCase(with: "x-forwarded-"))
    }
}
