internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import ChimeraTLS

extension CompiledTemplate {
    /// Appends what the template says for this request.
    ///
    /// - Parameter escapingMarkup: the place is markup, so values are escaped for it; only for
    ///   `TemplatePlace.text`.
    /// - Returns: false where a value cannot stand there; only for `.directory` and `.hostName`.
    func expand(
        _ context: RequestContext, _ request: RequestHead, into output: ByteBuffer,
        escapingMarkup: Bool = false
    ) -> Bool {
        for part in parts {
            let start = output.count
            append(part, context, request, output)
            switch part.encoding {
            case .segment where !CompiledTemplate.isSegment(output.readable.extracting(start..<output.count)),
                .nameLabel
            where !CompiledTemplate.isNameLabel(output.readable.extracting(start..<output.count)):
                return false
            default: break
            }
            if escapingMarkup && part.source != .literal { output.escapeMarkup(from: start) }
        }
        return true
    }

    private func append(
        _ part: Part, _ context: RequestContext, _ request: RequestHead, _ output: ByteBuffer
    ) {
        let encoding = part.encoding
        switch part.source {
        case .literal: output.append(self[part.slice])
        case .host: output.append(context.canonicalHost, encoding)
        case .hostLabel: output.append(context.hostLabel(part.number), encoding)
        case .path: output.append(context.sentPath, encoding)
        case .uri: output.appendURI(context, request, encoding)
        case .query: output.append(request[context.query], encoding)
        case .queryParameter: appendQueryParameter(part, context, request, output)
        case .header:
            let name = self[part.slice]
            if let index = request.index(ofName: name) {
                output.append(request[request.line(at: index).value], encoding)
            }
        case .cookie: appendCookie(part, request, output)
        case .method: output.append(request[request.methodBytes], encoding)
        case .scheme: output.append(context.isSecure ? "https" : "http")
        case .client: if let client = context.client { output.append(client) }
        case .user: output.append(context[context.user], encoding)
        case .id: context.id.append(to: output)
        case .site: if let name = context.site?.name { output.append(name.span, encoding) }
        case .tenant: if let tenant = context.site?.tenant { output.append(tenant.span, encoding) }
        case .route: if let text = context.route?.text { output.append(text.span, encoding) }
        case .tlsVersion: if let tls = context.tls { output.append(tls.version) }
        case .tlsClient: if let tls = context.tls { output.append(tls.clientSubject.span, encoding) }
        case .capture: output.append(context.capture(part.number), encoding)
        case .rest: output.append(context.rest(from: part.number), encoding)
        }
    }

    private func appendQueryParameter(
        _ part: Part, _ context: RequestContext, _ request: RequestHead, _ output: ByteBuffer
    ) {
        guard context.hasQuery else { return }
        var decoded: [UInt8] = []
        _ = QueryParameters.appendValue(of: self[part.slice], in: request[context.query], to: &decoded)
        output.append(decoded.span, part.encoding)
    }

    private func appendCookie(_ part: Part, _ request: RequestHead, _ output: ByteBuffer) {
        guard let first = request.index(of: .cookie) else { return }
        for index in first..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, line.name == .cookie else { continue }
            let value = request[line.value]
            if let range = Cookies.value(of: self[part.slice], in: value) {
                return output.append(value.extracting(range), part.encoding)
            }
        }
    }

    /// A directory's name that is neither hidden nor leads anywhere else.
    private static func isSegment(_ value: Span<UInt8>) -> Bool {
        guard value.count > 0, value.count <= 255, value[0] != UInt8(ascii: ".") else { return false }
        for index in 0..<value.count where value[index] == UInt8(ascii: "/") || value[index] == 0 {
            return false
        }
        return true
    }

    private static func isNameLabel(_ value: Span<UInt8>) -> Bool {
        guard value.count > 0, value.count <= 63 else { return false }
        for index in 0..<value.count {
            let byte = value[index]
            guard byte.isLetter || byte.isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            else {
                return false
            }
        }
        return true
    }
}

extension ByteSet {
    /// What stays as it is in `CompiledTemplate.Encoding.path`: `path` without the semicolon.
    fileprivate static var pathValue: ByteSet {
        ByteSet(low: 0x27FF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF)
    }

    /// Visible ASCII without what no URI holds (RFC 3986 §2) and without `#`; the percent sign of escapes
    /// stays.
    fileprivate static var uriWritten: ByteSet {
        ByteSet(low: 0xAFFF_FFF2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFF)
    }
}

extension ByteBuffer {
    /// Appends a value in the encoding of its place.
    func append(_ value: Span<UInt8>, _ encoding: CompiledTemplate.Encoding) {
        switch encoding {
        case .none, .segment, .nameLabel: append(value)
        case .field: append(value, allowing: .fieldValue)
        case .written: append(value, allowing: .uriWritten)
        case .path: append(value, allowing: .pathValue)
        case .component: append(value, allowing: .unreserved)
        }
    }

    /// Appends `value`, each octet that is not in `allowed` as an escape (RFC 3986 §2.1).
    private func append(_ value: Span<UInt8>, allowing allowed: ByteSet) {
        if value.allSatisfy(allowed) { return append(value) }
        reserve(value.count * 3)
        for index in 0..<value.count {
            let byte = value[index]
            if allowed.contains(byte) {
                append(byte)
            } else {
                append(UInt8(ascii: "%"))
                append(ByteBuffer.digit(byte >> 4))
                append(ByteBuffer.digit(byte & 0xF))
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? value + UInt8(ascii: "0") : value - 10 + UInt8(ascii: "A")
    }

    fileprivate func appendURI(
        _ context: RequestContext, _ request: RequestHead, _ encoding: CompiledTemplate.Encoding
    ) {
        append(context.sentPath, encoding)
        guard context.hasQuery else { return }
        append(encoding == .component ? "%3F" : "?")
        append(request[context.query], encoding)
    }

    /// Escapes what was appended from `start` on for markup, attribute values included.
    fileprivate func escapeMarkup(from start: Int) {
        let value = Array(copying: readable.extracting(start..<count))
        truncate(to: end - value.count)
        for byte in value {
            if let entity = Markup.entity(for: byte) { append(entity) } else { append(byte) }
        }
    }
}
