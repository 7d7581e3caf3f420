@testable import ChimeraBytes
@testable import ChimeraProxyProtocol

/// The start of a connection from a proxy.
///
/// - What is read of a part stands whatever comes behind it.
/// - A header is as long as it says, and says what the text of the protocol makes of it.
func proxyHeaderFailure(_ input: [UInt8]) -> String? {
    let whole = withExactMemory(input[...]) { ProxyHeader.read($0) }
    for way in cuts(input) {
        var before = ProxyHeader.Reading.incomplete
        for end in way {
            let now = withExactMemory(input[..<end]) { ProxyHeader.read($0) }
            if before != .incomplete && now != before { return "what was read is read otherwise at \(end)" }
            before = now
        }
    }
    switch whole {
    case .incomplete: return input.count < ProxyHeader.octetsMax ? nil : "no end of it"
    case .malformed: return slowly(input) == nil ? nil : "a header is refused"
    case .complete(let header):
        guard header.octets <= min(input.count, ProxyHeader.octetsMax) else { return "longer than what came" }
        let bytes = Array(input.prefix(header.octets))
        guard let meant = slowly(bytes) else {
            return bytes.first == 0x0D && bytes.contains(0x03) ? nil : "no header is taken for one"
        }
        return meant == header.source ? nil : "another client was meant"
    }
}

/// What a header says, read from bytes that are all there and of which the first line or the length is the header;
/// nil where it is none.
private func slowly(_ bytes: [UInt8]) -> ProxyHeader.Source? {
    bytes.starts(with: Array("PROXY ".utf8)) ? slowLine(bytes) : slowBinary(bytes)
}

private func slowLine(_ bytes: [UInt8]) -> ProxyHeader.Source? {
    guard let end = bytes.firstIndex(of: 0x0A), end < 107, bytes[end - 1] == 0x0D else { return nil }
    let words = bytes[..<(end - 1)].split(separator: 0x20, omittingEmptySubsequences: false).map {
        String(decoding: $0, as: UTF8.self)
    }
    guard words.count > 1 else { return nil }
    if words[1] == "UNKNOWN" { return .peer }
    guard words.count == 6, ["TCP4", "TCP6"].contains(words[1]), let client = IPAddress(words[2]),
        IPAddress(words[3]) != nil, let port = UInt16(words[4]), let own = UInt16(words[5]),
        "\(port)" == words[4], "\(own)" == words[5]
    else { return nil }
    let isV6 = words[1] == "TCP6"
    return words[2].contains(":") == isV6 && words[3].contains(":") == isV6 ? .ip(client, port: port) : nil
}

private func slowBinary(_ bytes: [UInt8]) -> ProxyHeader.Source? {
    guard bytes.count >= 16, bytes.starts(with: [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]) else {
        return nil
    }
    let rest = Array(bytes[16...])
    let length = Int(bytes[14]) * 256 + Int(bytes[15])
    guard rest.count >= length, length <= 4080 else { return nil }
    if bytes[12] == 0x20 { return .peer }
    guard bytes[12] == 0x21, bytes[13] >> 4 < 4, bytes[13] & 15 < 3 else { return nil }
    // Whose addresses are not said has none that count.
    if bytes[13] & 15 == 0 || bytes[13] >> 4 == 0 { return .peer }
    let size = [0, 12, 36, 216][Int(bytes[13] >> 4)]
    guard length >= size else { return nil }
    var parts = rest[size..<length]
    while let type = parts.first {
        guard parts.count >= 3 else { return nil }
        let count = Int(parts[parts.startIndex + 1]) * 256 + Int(parts[parts.startIndex + 2])
        guard parts.count >= 3 + count else { return nil }
        // Whether a sum is right is the business of the unit tests.
        if type == 3 { return nil }
        parts = parts.dropFirst(3 + count)
    }
    func number(_ range: Range<Int>) -> UInt64 { rest[range].reduce(0) { $0 << 8 | UInt64($1) } }
    switch bytes[13] >> 4 {
    case 1: return .ip(IPAddress(v4: UInt32(number(0..<4))), port: UInt16(number(8..<10)))
    case 2: return .ip(IPAddress(high: number(0..<8), low: number(8..<16)), port: UInt16(number(32..<34)))
    case 3: return .unix
    default: return .peer
    }
}
