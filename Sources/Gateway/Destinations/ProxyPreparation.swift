internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Makes the head that an upstream gets from the one that the client sent.
struct ProxyPreparation {
    private let transaction: Transaction
    private let dispatcher: Dispatcher

    init(_ transaction: Transaction, _ dispatcher: Dispatcher) {
        self.transaction = transaction
        self.dispatcher = dispatcher
    }

    /// - Returns: the head: the request's own, changed, where nothing else reads what was changed; a copy where
    ///   `request-header` takes its values from what the client sent.
    func prepare(_ settings: CompiledSettings) -> RequestHead {
        let request = transaction.request
        guard !settings.requestHeaderOperations.isEmpty else {
            clean(request)
            return request
        }
        let head = RequestHead()
        head.copy(request)
        clean(head)
        dispatcher.finishRequest(transaction.context, request, to: head)
        completeHost(head)
        return head
    }

    private func clean(_ head: RequestHead) {
        var wantsTrailers = false
        if let te = head[.te] { wantsTrailers = ListElements.contains("trailers", in: te) }
        HopByHop.remove(from: head)
        head.remove(.expect)
        countHop(head)
        if wantsTrailers {
            // RFC 9110 §10.1.4: the one part of TE that a proxy may pass on, which Connection then has to name.
            head.add(.te, "trailers")
            if head.upgrade.isEmpty { head.add(.connection, "TE") }
        }
        forward(head)
        // RFC 9110 §7.6.3: a gateway names itself in what it passes inwards.
        append(.via, via(head), to: head)
    }

    private func via(_ head: RequestHead) -> StaticString {
        if head.majorVersion == 2 { return "2.0 chimera" }
        return head.minorVersion == 0 ? "1.0 chimera" : "1.1 chimera"
    }

    /// RFC 9110 §7.6.2: TRACE and OPTIONS say how often they may be passed on.
    private func countHop(_ head: RequestHead) {
        guard let left = head.maxForwards, left > 0 else { return }
        head.remove(.maxForwards)
        head.add(.maxForwards, decimal: left - 1)
    }

    /// Says who asks: what an untrusted peer says of that itself is dropped.
    private func forward(_ head: RequestHead) {
        let context = transaction.context
        let isTrusted = context.peer.map(dispatcher.isTrusted) ?? false
        if !isTrusted {
            head.remove(.xForwardedFor)
            head.remove(.xForwardedHost)
            head.remove(.xForwardedProto)
            head.remove(.forwarded)
            head.remove(.xRealIp)
            removeAliases(from: head)
        }
        append(.xForwardedFor, context.peerText, to: head)
        if !head.contains(.xForwardedProto) {
            head.add(.xForwardedProto, context.isSecure ? "https" : "http")
        }
        if !head.contains(.xForwardedHost) && !head.authority.isEmpty {
            let authority = head[head.authority]
            head.add(.xForwardedHost, authority)
        }
        completeHost(head)
        if head.contains(.forwarded) { append(.forwarded, forwardedElement(head).span, to: head) }
    }

    /// Our hop, for a list that begins with a trusted peer (RFC 7239 §4, §6): a text with a colon stands in quotes.
    private func forwardedElement(_ head: RequestHead) -> [UInt8] {
        let context = transaction.context
        var element = Array("for=".utf8)
        guard let peer = context.peer else { return element + Array("unknown".utf8) }
        if !peer.isV4 { element += Array("\"[".utf8) }
        element.append(bytes: context.peerText)
        if !peer.isV4 { element += Array("]\"".utf8) }
        element += Array((context.isSecure ? ";proto=https" : ";proto=http").utf8)
        guard let host = head[.host], host.count > 0 else { return element }
        element += Array(";host=\"".utf8)
        element.append(bytes: host)
        return element + [UInt8(ascii: "\"")]
    }

    /// RFC 9112 §3.2: every request of HTTP/1.1 has Host, an empty one where nobody named an authority.
    private func completeHost(_ head: RequestHead) {
        if head.contains(.host) { return }
        let authority = head[head.authority]
        head.add(.host, authority)
    }

    /// Other names under which an upstream could read who asks: the rest of the `X-Forwarded` family, and `_` in place
    /// of `-`, which many programs cannot tell apart (CGI and what follows it have one name for both).
    private func removeAliases(from head: RequestHead) {
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            guard line.isPresent, line.name == .other else { continue }
            if ForwardingNames.contains(head[line.nameBytes]) { head.remove(at: index) }
        }
    }

    private func append(_ name: FieldName, _ value: StaticString, to head: RequestHead) {
        append(name, Span(_unsafeStart: value.utf8Start, count: value.utf8CodeUnitCount), to: head)
    }

    /// Adds a value to the list that the fields of that name make (RFC 9110 §5.3), as a line of its own.
    private func append(_ name: FieldName, _ value: Span<UInt8>, to head: RequestHead) {
        guard head.contains(name) else { return head.add(name, value) }
        var joined: [UInt8] = []
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            guard line.isPresent, line.name == name else { continue }
            joined.append(bytes: head[line.value])
            joined += [UInt8(ascii: ","), UInt8(ascii: " ")]
        }
        joined.append(bytes: value)
        head.set(name, joined.span)
    }
}
