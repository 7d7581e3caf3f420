package import ChimeraBytes
internal import ChimeraHTTPCore

/// The parameters of one permessage-deflate, offered by a client or in a server's answer (RFC 7692 §7.1).
package struct DeflateOffer: Equatable, Sendable {
    /// `server_no_context_takeover`.
    package var serverForgets = false
    /// `client_no_context_takeover`: of an offer a hint, of an answer a demand.
    package var clientForgets = false
    /// `server_max_window_bits`, 8 to 15.
    package var serverWindowBits: Int?
    /// `client_max_window_bits` is there, with a value or without one: the client can be told to use a smaller window.
    package var hasClientWindowBits = false
    /// The value of `client_max_window_bits`, 8 to 15.
    package var clientWindowBits: Int?

    package init() {}

    /// Appends the extension with its parameters, as it stands in Sec-WebSocket-Extensions.
    package func append(to output: ByteBuffer) {
        output.append("permessage-deflate")
        if serverForgets { output.append("; server_no_context_takeover") }
        if clientForgets { output.append("; client_no_context_takeover") }
        if let serverWindowBits {
            output.append("; server_max_window_bits=")
            output.append(decimal: serverWindowBits)
        }
        guard hasClientWindowBits else { return }
        output.append("; client_max_window_bits")
        guard let clientWindowBits else { return }
        output.append("=")
        output.append(decimal: clientWindowBits)
    }

    /// What one element of Sec-WebSocket-Extensions is.
    enum Reading: Equatable {
        /// Another extension.
        case other
        /// permessage-deflate with a parameter that is unknown, repeated, or has a value that it may not have: an offer to
        /// decline (§7.1), an answer to refuse.
        case unusable
        case usable(DeflateOffer)
        /// Nothing that RFC 6455 §9.1 allows.
        case malformed
    }

    static func read(_ element: Span<UInt8>) -> Reading {
        let end = element.firstIndex(of: UInt8(ascii: ";")) ?? element.count
        let name = element.extracting(element.trimmingWhitespace(0..<end))
        guard name.count > 0, name.allSatisfy(.token) else { return .malformed }
        let isDeflate = name.equalsIgnoringCase("permessage-deflate")
        var offer: DeflateOffer? = DeflateOffer()
        var parameters = FieldParameters(element, from: end)
        while let parameter = parameters.next() {
            guard isWellFormed(parameter, in: element) else { return .malformed }
            guard isDeflate, var known = offer else { continue }
            offer = known.take(parameter, in: element) ? known : nil
        }
        guard isDeflate else { return .other }
        return offer.map { .usable($0) } ?? .unusable
    }

    /// §9.1: a token, and another one or a quoted string that holds one.
    private static func isWellFormed(_ parameter: FieldParameter, in element: Span<UInt8>) -> Bool {
        let name = element.extracting(parameter.name)
        guard name.count > 0, name.allSatisfy(.token) else { return false }
        guard let range = parameter.value else { return true }
        let value = element.extracting(range)
        return value.count > 0 && value.allSatisfy(.token)
    }

    /// - Returns: false for what makes it unusable.
    private mutating func take(_ parameter: FieldParameter, in element: Span<UInt8>) -> Bool {
        let name = element.extracting(parameter.name)
        let value = parameter.value.map { Self.bits(element.extracting($0)) }
        if name.equalsIgnoringCase("server_no_context_takeover") {
            defer { serverForgets = true }
            return value == nil && !serverForgets
        }
        if name.equalsIgnoringCase("client_no_context_takeover") {
            defer { clientForgets = true }
            return value == nil && !clientForgets
        }
        if name.equalsIgnoringCase("server_max_window_bits") {
            guard serverWindowBits == nil, let value, let bits = value else { return false }
            serverWindowBits = bits
            return true
        }
        guard name.equalsIgnoringCase("client_max_window_bits"), !hasClientWindowBits else { return false }
        hasClientWindowBits = true
        guard let value else { return true }
        clientWindowBits = value
        return value != nil
    }

    /// §7.1.2: a decimal number from 8 to 15 without leading zeros.
    private static func bits(_ text: Span<UInt8>) -> Int? {
        guard let bits = Int(decimal: text), DeflateDirection.windowBitsRange.contains(bits),
            text[0] != UInt8(ascii: "0")
        else { return nil }
        return bits
    }
}
