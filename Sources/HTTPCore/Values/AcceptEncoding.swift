internal import ChimeraBytes

/// A content coding that we have a use for (RFC 9110 §8.4.1). The order of the cases is that of preference.
package enum ContentCoding: UInt8, CaseIterable, Sendable {
    case br, zstd, gzip, identity

    /// The token in `Content-Encoding` and `Accept-Encoding`.
    package var token: StaticString {
        switch self {
        case .br: "br"
        case .zstd: "zstd"
        case .gzip: "gzip"
        case .identity: "identity"
        }
    }

    /// - Returns: nil for a coding that is none of ours.
    package init?(_ token: Span<UInt8>) {
        if token.equalsIgnoringCase("gzip") || token.equalsIgnoringCase("x-gzip") {
            self = .gzip
        } else if token.equalsIgnoringCase("br") {
            self = .br
        } else if token.equalsIgnoringCase("zstd") {
            self = .zstd
        } else if token.equalsIgnoringCase("identity") {
            self = .identity
        } else {
            return nil
        }
    }
}

/// Which content codings a client accepts (RFC 9110 §12.5.3), told line by line of `Accept-Encoding`.
package struct AcceptEncoding: Sendable {
    private var br: QualityValue?
    private var zstd: QualityValue?
    private var gzip: QualityValue?
    private var identity: QualityValue?
    private var any: QualityValue?

    /// What a request without the field means to us: nothing but identity. (Any coding would be acceptable,
    /// but a client that does not ask for one may not know it.)
    package init() {}

    /// Takes one field line. An element that is malformed is left out; of two for one coding the first
    /// counts.
    package mutating func add(_ value: Span<UInt8>) {
        var elements = ListElements(value)
        while let range = elements.next() {
            let element = value.extracting(range)
            let semicolon = element.firstIndex(of: UInt8(ascii: ";")) ?? element.count
            let name = element.extracting(element.trimmingWhitespace(0..<semicolon))
            guard let weight = QualityValue(parametersOf: element, from: semicolon) else { continue }
            if name.equals("*") {
                any = any ?? weight
            } else if let coding = ContentCoding(name), self[coding] == nil {
                self[coding] = weight
            }
        }
    }

    /// The best coding of those at hand: the greatest weight, and at equal weight br before zstd before gzip
    /// before identity.
    ///
    /// - Parameter available: whether a coding is at hand; identity always is.
    /// - Returns: nil if nothing at hand is acceptable, not even identity. RFC 9110 §12.4.1 leaves the choice
    ///   then: 406, or what there is all the same.
    package func best(available: (ContentCoding) -> Bool = { _ in true }) -> ContentCoding? {
        var best: ContentCoding?
        var bestWeight = QualityValue.zero
        func consider(_ coding: ContentCoding, _ named: QualityValue?) {
            let weight = named ?? any ?? .zero
            if weight > bestWeight, available(coding) { (best, bestWeight) = (coding, weight) }
        }
        consider(.br, br)
        consider(.zstd, zstd)
        consider(.gzip, gzip)
        if let identity { return identity > bestWeight ? .identity : best }
        // Unnamed, identity is acceptable unless `*;q=0` says no, and comes after whatever has a weight.
        return best ?? (any == .zero ? nil : .identity)
    }

    private subscript(coding: ContentCoding) -> QualityValue? {
        get {
            switch coding {
            case .br: br
            case .zstd: zstd
            case .gzip: gzip
            case .identity: identity
            }
        }
        set {
            switch coding {
            case .br: br = newValue
            case .zstd: zstd = newValue
            case .gzip: gzip = newValue
            case .identity: identity = newValue
            }
        }
    }
}
