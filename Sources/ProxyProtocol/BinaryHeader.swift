internal import ChimeraBytes

/// Version 2: a signature, four octets, addresses and more (§2.2).
///
/// ```
///  12 octets    1         1           2        length octets
///  signature    2·cmd     fam·proto   length   addresses, then parts of type, length and value
/// ```
enum BinaryHeader {
    static let signature: InlineArray<12, UInt8> = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    private static let fixedOctets = 16
    /// The part that holds the header's CRC-32C (§2.2.3).
    private static let checksumPart: UInt8 = 0x03

    static func read(_ bytes: Span<UInt8>) -> ProxyHeader.Reading {
        for index in 0..<min(signature.count, bytes.count) where bytes[index] != signature[index] {
            return .malformed(.missing)
        }
        guard bytes.count > signature.count else { return .incomplete }
        let version = bytes[12]
        // LOCAL or PROXY; §2.2: others must be dropped.
        guard version == 0x20 || version == 0x21 else { return .malformed(.command) }
        guard bytes.count >= fixedOctets else { return .incomplete }
        let end = fixedOctets + Int(number(bytes, at: 14))
        guard end <= ProxyHeader.octetsMax else { return .malformed(.tooLong) }
        guard bytes.count >= end else { return .incomplete }
        // §2.2: what a LOCAL header says beside that is skipped, whatever it is.
        if version == 0x20 { return .complete(ProxyHeader(source: .peer, octets: end)) }
        return read(bytes.extracting(0..<end), kind: bytes[13])
    }

    private static func read(_ header: Span<UInt8>, kind: UInt8) -> ProxyHeader.Reading {
        guard let family = Family(kind), fixedOctets + family.octets <= header.count else {
            return .malformed(.length)
        }
        // §2.2: what addresses such a header has is to be ignored, and nobody can tell where they end.
        if family == .unspecified { return .complete(ProxyHeader(source: .peer, octets: header.count)) }
        if let fault = fault(header, from: fixedOctets + family.octets) { return .malformed(fault) }
        let source: ProxyHeader.Source =
            switch family {
            case .v4:
                .ip(
                    IPAddress(v4: UInt32(number(header, at: 16)) << 16 | UInt32(number(header, at: 18))),
                    port: number(header, at: 24))
            case .v6: .ip(address(header, at: 16), port: number(header, at: 48))
            case .unix: .unix
            case .unspecified: .peer
            }
        return .complete(ProxyHeader(source: source, octets: header.count))
    }

    /// What the addresses are. Who is said to have come by datagrams came to a stream nevertheless.
    private enum Family {
        case unspecified, v4, v6, unix

        /// Nil for what §2.2 reserves.
        init?(_ kind: UInt8) {
            guard kind & 0xF <= 2 else { return nil }
            switch kind >> 4 {
            case 0: self = .unspecified
            case 1: self = kind & 0xF == 0 ? .unspecified : .v4
            case 2: self = kind & 0xF == 0 ? .unspecified : .v6
            case 3: self = kind & 0xF == 0 ? .unspecified : .unix
            default: return nil
            }
        }

        var octets: Int {
            switch self {
            case .unspecified: 0
            case .v4: 12
            case .v6: 36
            case .unix: 216
            }
        }
    }

    // MARK: Parts

    private static func fault(_ header: Span<UInt8>, from start: Int) -> ProxyHeader.Fault? {
        var place = start
        while place < header.count {
            guard place + 3 <= header.count else { return .length }
            let end = place + 3 + Int(number(header, at: place + 1))
            guard end <= header.count else { return .length }
            if header[place] == checksumPart {
                guard end - place == 7,
                    CRC32C.of(header, zeroed: place + 3..<end) == sum(header, at: place + 3)
                else { return .checksum }
            }
            place = end
        }
        return nil
    }

    // MARK: Numbers

    private static func number(_ bytes: Span<UInt8>, at index: Int) -> UInt16 {
        UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])
    }

    private static func sum(_ bytes: Span<UInt8>, at index: Int) -> UInt32 {
        UInt32(number(bytes, at: index)) << 16 | UInt32(number(bytes, at: index + 2))
    }

    private static func address(_ bytes: Span<UInt8>, at index: Int) -> IPAddress {
        var halves: (UInt64, UInt64) = (0, 0)
        for offset in 0..<8 {
            halves.0 = halves.0 << 8 | UInt64(bytes[index + offset])
            halves.1 = halves.1 << 8 | UInt64(bytes[index + 8 + offset])
        }
        return IPAddress(high: halves.0, low: halves.1)
    }
}
