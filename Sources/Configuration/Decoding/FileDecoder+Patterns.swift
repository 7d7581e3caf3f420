/// Route patterns.
extension FileDecoder {
    /// Nil after a message.
    func pathPattern(_ token: Token) -> PathPattern? {
        let text = token.text
        guard text.hasPrefix("/") else {
            report(token, "a pattern begins with /", ["/" + text])
            return nil
        }
        if let mark = text.first(where: { $0 == "?" || $0 == "#" }) {
            let hint = mark == "?" ? "; a query is matched by a matcher: @name query KEY VALUE" : ""
            report(token, "a pattern has no \"\(mark)\"\(hint)")
            return nil
        }
        // Doubled slashes count as one, and "/admin" also matches "/admin/".
        let parts = text.split(separator: "/")
        var segments: [PathPattern.Segment] = []
        for (index, part) in parts.enumerated() {
            guard let segment = segment(part, isLast: index == parts.count - 1, of: parts, token) else {
                return nil
            }
            if case .capture(let name) = segment, segments.contains(segment) {
                report(token, "{\(name)} stands twice in \"\(text)\"")
                return nil
            }
            segments.append(segment)
        }
        return PathPattern(segments: segments, text: text)
    }

    private func segment(
        _ part: Substring, isLast: Bool, of parts: [Substring], _ token: Token
    ) -> PathPattern.Segment? {
        if part == "*" || part.hasPrefix("*.") {
            guard isLast else {
                report(
                    token, "`\(part)` stands at the end of a pattern only", part == "*" ? [named(parts)] : [])
                return nil
            }
            return part == "*" ? .rest : fileExtension(part.dropFirst(2), token)
        }
        if part.contains("*") {
            report(token, "a segment that mixes text and `*`: only `*` alone or `*.ext` can end a pattern")
            return nil
        }
        if part.contains("{") || part.contains("}") { return capture(part, isLast: isLast, token) }
        return literal(part, token).map { .literal($0) }
    }

    /// `/a/*/b` with names in place of the stars that are not at the end.
    private func named(_ parts: [Substring]) -> String {
        var number = 0
        let segments = parts.enumerated().map { index, part in
            guard part == "*", index < parts.count - 1 else { return String(part) }
            number += 1
            return number == 1 ? "{name}" : "{name\(number)}"
        }
        return "/" + segments.joined(separator: "/")
    }

    private func capture(_ part: Substring, isLast: Bool, _ token: Token) -> PathPattern.Segment? {
        guard part.hasPrefix("{"), part.hasSuffix("}"),
            !part.dropFirst().dropLast().contains(where: "{}".contains)
        else {
            report(token, "a segment mixes text and a capture: \"\(part)\"")
            return nil
        }
        let name = String(part.dropFirst().dropLast())
        if name == "rest" {
            report(
                token, "{rest} is what `*` captures",
                isLast ? [token.text.replacingLast("{rest}", by: "*")] : [])
            return nil
        }
        guard isName(name) else {
            report(token, "\"{\(name)}\" is not a capture; its name has letters, digits, - and _")
            return nil
        }
        guard !VariableRow.families.contains(name) else {
            report(token, "{\(name)} is a variable of its own, so no capture can have this name")
            return nil
        }
        return .capture(name)
    }

    private func fileExtension(_ name: Substring, _ token: Token) -> PathPattern.Segment? {
        guard !name.isEmpty, !name.contains(where: "*{}".contains), !name.hasPrefix("."), !name.hasSuffix(".")
        else {
            report(token, "\"*.\(name)\" is not `*.ext`")
            return nil
        }
        return literal(name, token).map { .fileExtension($0) }
    }

    /// Percent-decodes once, as the normalised path is, and refuses what no normalised path can have.
    private func literal(_ part: Substring, _ token: Token) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(part.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.prefix(2).allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
            else {
                report(token, "a \"%\" is followed by two hexadecimal digits")
                return nil
            }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        if bytes.contains(UInt8(ascii: "/")) {
            report(token, "\"%2F\" is a slash in a pattern", [token.text.replacing("%2F", "%2f", by: "/")])
        } else if bytes.contains(UInt8(ascii: "\\")) || bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            report(token, "no path has this byte: a backslash or a control character")
        } else if part.contains(";") {
            report(token, "what follows a \";\" in a segment is left out for matching, so this never matches")
        } else if bytes == [UInt8(ascii: ".")] || bytes == [UInt8(ascii: "."), UInt8(ascii: ".")] {
            report(token, "dot segments are resolved before matching, so this never matches")
        } else {
            return bytes
        }
        return nil
    }
}

extension String {
    fileprivate func replacingLast(_ part: String, by other: String) -> String {
        hasSuffix(part) ? String(dropLast(part.count)) + other : self
    }

    fileprivate func replacing(_ part: String, _ same: String, by other: String) -> String {
        var result = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(part) || rest.hasPrefix(same) {
                result += other
                rest = rest.dropFirst(part.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }
}
