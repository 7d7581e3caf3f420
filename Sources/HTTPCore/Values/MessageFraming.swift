internal import ChimeraBytes

/// The length that `Content-Length` declares, told line by line and read strictly: two readers of one message
/// must not disagree on where it ends (RFC 9112 §6.3, §11.2).
package struct ContentLength: Equatable, Sendable {
    /// In octets, at most `Int64.max`; nil before the first line.
    package private(set) var value: UInt64?

    package init() {}

    /// Why a message is refused.
    package enum Refusal: Error, Sendable, CaseIterable {
        /// Not digits alone, or an element of the list is empty.
        case malformed
        /// More than `Int64.max`.
        case tooGreat
        /// Two values that are not the same.
        case differing
    }

    /// Takes one line. A list of values that are all the same is accepted, as RFC 9110 §8.6 allows.
    package mutating func add(_ line: Span<UInt8>) throws(Refusal) {
        var start = 0
        while true {
            let comma = line.firstIndex(of: UInt8(ascii: ","), from: start) ?? line.count
            try take(line.extracting(line.trimmingWhitespace(start..<comma)))
            if comma == line.count { return }
            start = comma + 1
        }
    }

    private mutating func take(_ digits: Span<UInt8>) throws(Refusal) {
        guard !digits.isEmpty else { throw .malformed }
        for index in 0..<digits.count where !digits[index].isDigit { throw .malformed }
        guard let length = Int64(decimal: digits) else { throw .tooGreat }
        if let value, value != UInt64(length) { throw .differing }
        value = UInt64(length)
    }
}

/// What `Transfer-Encoding` declares, told line by line and read strictly (RFC 9112 §6.1, §7).
package struct TransferEncoding: Equatable, Sendable {
    /// Chunked is the last coding so far.
    private var endsInChunked = false
    /// Other codings come before it.
    private var hasOthers = false
    private var isPresent = false

    package init() {}

    /// Why a message is refused.
    package enum Refusal: Error, Sendable, CaseIterable {
        /// Not a list of tokens with parameters; or parameters on chunked, or chunked twice.
        case malformed
        /// The last coding is not chunked, so where the content ends cannot be told (RFC 9112 §6.3: 400).
        case notChunked
        /// A coding that we do not have, under chunked (RFC 9112 §6.1: 501).
        case unsupported
    }

    /// Takes one line. Empty elements are refused, though RFC 9110 §5.6.1.2 would skip them: nobody honest
    /// sends them, and others read them differently.
    package mutating func add(_ line: Span<UInt8>) throws(Refusal) {
        isPresent = true
        var start = 0
        while true {
            let end = line.endOfElement(from: start, separator: UInt8(ascii: ","))
            try take(line.extracting(line.trimmingWhitespace(start..<end)))
            if end >= line.count { return }
            start = end + 1
        }
    }

    private mutating func take(_ coding: Span<UInt8>) throws(Refusal) {
        let semicolon = coding.firstIndex(of: UInt8(ascii: ";")) ?? coding.count
        let name = coding.extracting(coding.trimmingWhitespace(0..<semicolon))
        guard !name.isEmpty, name.allSatisfy(.token) else { throw .malformed }
        // RFC 9112 §6.1: chunked is applied once, and §7.1: it has no parameters.
        let isChunked = name.equalsIgnoringCase("chunked")
        if isChunked, semicolon < coding.count || endsInChunked { throw .malformed }
        if !isChunked {
            if endsInChunked { throw .notChunked }
            hasOthers = true
        }
        endsInChunked = isChunked
    }

    /// The verdict after the last line.
    ///
    /// - Returns: whether the content is chunked; false means that the field is not there.
    package func isChunked() throws(Refusal) -> Bool {
        guard isPresent else { return false }
        guard endsInChunked else { throw .notChunked }
        if hasOthers { throw .unsupported }
        return true
    }
}
