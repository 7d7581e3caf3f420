@testable import ChimeraBytes
@testable import ChimeraHTTPCore

/// A path in its two forms, or that it is refused.
private enum Forms: Equatable {
    case path(sent: [UInt8], matched: [UInt8])
    case refused

    init(_ target: [UInt8], _ normaliser: inout PathNormaliser) {
        self = withExactMemory(target[...]) { target in
            guard case .path(let path) = normaliser.normalise(target) else { return .refused }
            return .path(
                sent: [UInt8](copying: normaliser.sent(path, of: target)),
                matched: [UInt8](copying: normaliser.matched(path, of: target)))
        }
    }
}

/// A request target.
///
/// - Both forms are what a slow reading of the rules gives.
/// - The matched form never climbs, and holds nothing that a file system takes for something else.
/// - The sent form is in normal form: normalised again, both forms stay.
/// - What was normalised before does not matter.
func pathFailure(_ target: [UInt8]) -> String? {
    var normaliser = PathNormaliser()
    let forms = Forms(target, &normaliser)
    if forms != Forms(slowly: target) { return "\(forms) is not \(Forms(slowly: target))" }
    if Forms(target, &normaliser) != forms { return "the second time it is another path" }
    guard case .path(let sent, let matched) = forms else { return nil }
    if Forms(sent, &normaliser) != forms { return "normalised again it is another path" }
    if matched.first != .slash || sent.first != .slash { return "a form does not begin with a slash" }
    let segments = matched.dropFirst().split(separator: .slash, omittingEmptySubsequences: false)
    if segments.contains(where: isDots) { return "a dot segment is left" }
    if segments.dropLast().contains(where: \.isEmpty) { return "an empty segment is left" }
    if matched.contains(0) || matched.contains(UInt8(ascii: "\\")) { return "a NUL or a backslash is left" }
    return nil
}

private func isDots(_ segment: ArraySlice<UInt8>) -> Bool {
    segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8)
}

// MARK: - The rules once more, without regard to cost

extension Forms {
    init(slowly target: [UInt8]) {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        guard path.first == .slash, isValid(path), let sent = withoutDotSegments(path),
            let matched = matchedForm(of: sent)
        else {
            self = .refused
            return
        }
        self = .path(sent: sent, matched: matched)
    }
}

/// No octet, written or escaped, that has no business in a path.
private func isValid(_ path: ArraySlice<UInt8>) -> Bool {
    if path.contains(where: {
        $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "#")
    }) {
        return false
    }
    guard let decoded = percentDecoded(path) else { return false }
    return !decoded.contains(0) && !decoded.contains(UInt8(ascii: "\\"))
}

/// Nil where a percent sign begins no escape.
private func percentDecoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            result.append(byte)
            continue
        }
        let digits = rest.prefix(2)
        guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
        else { return nil }
        result.append(value)
        rest.removeFirst(2)
    }
    return result
}

/// RFC 3986 §5.2.4 by a stack of segments.
private func withoutDotSegments(_ path: ArraySlice<UInt8>) -> [UInt8]? {
    var kept: [ArraySlice<UInt8>] = []
    let segments = path.dropFirst().split(separator: .slash, omittingEmptySubsequences: false)
    for (index, segment) in segments.enumerated() {
        guard let decoded = percentDecoded(segment) else { return nil }
        guard isDots(decoded[...]) else {
            kept.append(segment)
            continue
        }
        if decoded.count == 2 { _ = kept.popLast() }
        if index == segments.count - 1 { kept.append([]) }
    }
    return kept.isEmpty ? [.slash] : kept.reduce(into: []) { $0 += [.slash] + $1 }
}

private func matchedForm(of sent: [UInt8]) -> [UInt8]? {
    var names: [ArraySlice<UInt8>] = []
    for segment in sent.dropFirst().split(separator: .slash, omittingEmptySubsequences: false) {
        let name = segment.prefix { $0 != UInt8(ascii: ";") }
        guard let decoded = percentDecoded(name),
            let parameters = percentDecoded(segment.dropFirst(name.count)), !parameters.contains(.slash)
        else { return nil }
        names += decoded.split(separator: .slash, omittingEmptySubsequences: false)
    }
    // An upstream that leaves out parameters after decoding must see no dot segment either.
    if names.contains(where: { isDots($0.prefix { $0 != UInt8(ascii: ";") }) }) { return nil }
    let last = names.removeLast()
    return [.slash] + names.filter { !$0.isEmpty }.flatMap { $0 + [.slash] } + last
}
