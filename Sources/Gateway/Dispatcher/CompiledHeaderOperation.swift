internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// One `header` or `request-header` line in the form in which one worker applies it.
struct CompiledHeaderOperation {
    private let kind: HeaderOperation.Kind
    private let field: FieldName
    private let name: [UInt8]
    private let value: CompiledTemplate

    /// - Returns: nil for a field that says how the message is framed or what holds for the connection alone:
    ///   those are the codec's (RFC 9110 §7.6.1, RFC 9112 §6).
    init?(_ operation: HeaderOperation) {
        let name = Array(operation.name.utf8)
        let field = FieldName(name.span)
        switch field {
        case .contentLength, .transferEncoding, .connection, .keepAlive, .upgrade, .te, .trailer,
            .proxyConnection:
            return nil
        default: break
        }
        kind = operation.kind
        self.name = name
        self.field = field
        value = CompiledTemplate(operation.value, for: .field)
    }

    /// Applies the operation to `block`, which may be the request itself.
    ///
    /// A value with variables that comes out empty counts as none: `set` then takes the field out, so that
    /// what the other side sent under that name does not pass for ours.
    func apply(to block: FieldBlock, _ context: RequestContext, _ request: RequestHead, _ scratch: ByteBuffer)
    {
        if kind == .remove { return remove(from: block) }
        if kind == .setIfMissing && block.contains(name: name.span) { return }
        if value.isLiteral {
            if kind == .set { remove(from: block) }
            let text = value.bytes
            return add(text.span, to: block)
        }
        scratch.clear()
        _ = value.expand(context, request, into: scratch)
        if kind == .set { remove(from: block) }
        let text = scratch.readable.trimmingWhitespace()
        if !text.isEmpty { add(text, to: block) }
    }

    /// Takes out what the client sent under a name that many programs cannot tell from this one (CGI and what follows it
    /// have one name for `_` and `-`), so that it does not pass for ours.
    func removeAliases(from block: FieldBlock) {
        guard kind == .set || kind == .remove else { return }
        for index in 0..<block.lineCount {
            let line = block.line(at: index)
            guard line.isPresent, line.name == .other else { continue }
            if ForwardingNames.isAlias(block[line.nameBytes], of: name.span) { block.remove(at: index) }
        }
    }

    private func remove(from block: FieldBlock) {
        if field == .other { block.remove(name: name.span) } else { block.remove(field) }
    }

    private func add(_ value: Span<UInt8>, to block: FieldBlock) {
        if field == .other { block.add(name: name.span, value: value) } else { block.add(field, value) }
    }

    /// Whether this makes the content markup, in which values have to be escaped.
    var makesMarkup: Bool {
        guard field == .contentType, kind != .remove, value.isLiteral else { return false }
        let text = value.bytes
        let types: [5 of StaticString] = [
            "text/html", "text/xml", "image/svg", "application/xml", "application/xhtml",
        ]
        for index in types.indices where text.span.startsIgnoringCase(with: types[index]) { return true }
        return false
    }
}
