internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

extension Dispatcher {
    // MARK: For the driver

    /// Answers a request with an error of the gateway's own: the page that the settings name, else a small
    /// built-in one, as JSON (RFC 9457) for who prefers that.
    ///
    /// - Parameters:
    ///   - status: 400 to 599.
    ///   - context: may be one that was never dispatched; then the machine's settings count.
    ///   - response: is filled, header operations included. Fields can be added to it afterwards.
    func refuse(
        _ status: Int, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: status)
        return finishRefusal(context, request, response)
    }

    /// Applies the header operations that count for the request to a head that a destination filled.
    func finishResponse(_ context: RequestContext, _ request: RequestHead, _ response: ResponseHead) {
        let settings = context.settings ?? machineSettings
        if context.isSecure, let security = context.site?.security, !security.strictTransport.isEmpty {
            response.set(.strictTransportSecurity, security.strictTransport.span)
        }
        if settings.headerOperations.isEmpty { return }
        for operation in settings.headerOperations {
            operation.apply(to: response, context, request, scratch)
        }
    }

    /// Applies the operations of `request-header` to the head that goes to an upstream.
    ///
    /// - Parameter request: as the client sent it: what variables stand for.
    func finishRequest(_ context: RequestContext, _ request: RequestHead, to head: FieldBlock) {
        let settings = context.settings ?? machineSettings
        if settings.requestHeaderOperations.isEmpty { return }
        for operation in settings.requestHeaderOperations {
            operation.removeAliases(from: head)
            operation.apply(to: head, context, request, scratch)
        }
    }

    // MARK: Refusals

    /// Adds the page for the status that `response` has.
    func finishRefusal(
        _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead, page: CompiledPage? = nil
    ) -> AnswerBody {
        let settings = context.settings ?? machineSettings
        let body: AnswerBody
        if let page = page ?? settings.errorPage(for: response.status) {
            body = finish(page.content, page.contentType, context, request, response)
        } else {
            let page = pages.page(
                for: response.status, because: context.refusal, asJSON: request.prefersJSON)
            body = finish(page.content, page.contentType, context, request, response)
        }
        // How long content may be kept says nothing of how long it may be missing.
        response.remove(.expires)
        response.remove(.cacheControl)
        response.add(.cacheControl, "no-store")
        return body
    }

    /// 405 with the methods that the path has (RFC 9110 §15.5.6).
    func refuseMethod(
        _ site: CompiledSite, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        let scratch = scratch
        response.reset(status: 405)
        scratch.clear()
        site.allowedMethods(context, request)?.append(to: scratch)
        response.add(.allow, scratch.readable)
        return finishRefusal(context, request, response)
    }

    func challenge(
        _ auth: CompiledAuth, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: 401)
        response.add(.wwwAuthenticate, auth.challenge.span)
        return finishRefusal(context, request, response)
    }

    func answerClosed(
        _ closed: CompiledClosure, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: closed.status)
        return finishRefusal(context, request, response, page: closed.page)
    }

    // MARK: Answers

    /// `OPTIONS *` asks the server, not a resource (RFC 9110 §9.3.7).
    func answerAsterisk(
        _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: 200)
        return finishEmpty(context, request, response)
    }

    /// RFC 9110 §7.6.2: what may be passed on no further is answered here. Of TRACE we know nothing ourselves.
    func answerAsLast(
        _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        if request.method == .trace { return refuse(501, context, request, response) }
        return answerAsterisk(context, request, response)
    }

    func respond(
        _ target: RespondTarget, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: target.status)
        switch target.body {
        case .none: return finishEmpty(context, request, response)
        case .fixed(let blob): return finish(blob, target.contentType, context, request, response)
        case .template(let template):
            let scratch = scratch
            scratch.clear()
            let escapes = context.settings?.makesMarkup ?? false
            _ = template.expand(context, request, into: scratch, escapingMarkup: escapes)
            return finish(Blob(scratch.readable), target.contentType, context, request, response)
        }
    }

    private func finish(
        _ blob: Blob, _ contentType: StaticString, _ context: RequestContext, _ request: RequestHead,
        _ response: ResponseHead
    ) -> AnswerBody {
        if response.forbidsContent { return finishEmpty(context, request, response) }
        response.add(.contentType, contentType)
        response.body = .known(blob.count)
        finishResponse(context, request, response)
        // RFC 9110 §9.3.2: an answer to HEAD has the fields of the answer to GET, and no content.
        return request.method == .head ? .none : .bytes(blob)
    }

    private func finishEmpty(
        _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.body = response.forbidsContent ? .none : .known(0)
        finishResponse(context, request, response)
        return .none
    }

    // MARK: Redirects

    func redirect(
        _ target: RedirectTarget, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        response.reset(status: target.status)
        scratch.clear()
        if target.location.beginsWithValue { scratch.append("/") }
        _ = target.location.expand(context, request, into: scratch)
        if !target.location.hasQuery { appendQuery(context, request) }
        response.add(FieldLine(name: .location, nameBytes: .empty, value: storeLocation(in: response)))
        return finishEmpty(context, request, response)
    }

    /// `canonical HOST`: 308, so that the method stays.
    func redirect(
        toHost host: [UInt8], _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        let scratch = scratch
        response.reset(status: 308)
        scratch.clear()
        scratch.append(context.isSecure ? "https://" : "http://")
        scratch.append(host.span)
        if context.port != 0 && context.port != (context.isSecure ? 443 : 80) {
            scratch.append(UInt8(ascii: ":"))
            scratch.append(decimal: Int(context.port))
        }
        scratch.append(context.sentPath, .written)
        appendQuery(context, request)
        response.add(.location, scratch.readable)
        return finishEmpty(context, request, response)
    }

    /// The same resource over https: 308, so that the method stays.
    func redirectToTLS(
        _ site: CompiledSite, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> AnswerBody {
        // Without a host there is no URI to send anybody to.
        if context.host.isEmpty { return refuse(400, context, request, response) }
        let scratch = scratch
        response.reset(status: 308)
        scratch.clear()
        scratch.append("https://")
        scratch.append(context.canonicalHost)
        let port = securePort?(site.source.on) ?? 443
        if port != 443 {
            scratch.append(UInt8(ascii: ":"))
            scratch.append(decimal: Int(port))
        }
        scratch.append(context.sentPath, .written)
        appendQuery(context, request)
        response.add(.location, scratch.readable)
        return finishEmpty(context, request, response)
    }

    /// Appends the request's query to the URI in `scratch`, before a fragment.
    private func appendQuery(_ context: RequestContext, _ request: RequestHead) {
        guard !context.query.isEmpty else { return }
        let scratch = scratch
        var fragment: [UInt8] = []
        if let hash = scratch.readable.firstIndex(of: UInt8(ascii: "#")) {
            fragment = Array(copying: scratch.readable.extracting(hash..<scratch.count))
            scratch.truncate(to: scratch.end - fragment.count)
        }
        scratch.append("?")
        scratch.append(request[context.query], .written)
        scratch.append(fragment.span)
    }

    /// Stores the URI in `scratch`. One that begins with a slash stays on this host: browsers take `//` and
    /// `/\` for the beginning of an authority.
    private func storeLocation(in response: ResponseHead) -> Slice {
        let scratch = scratch
        let location = scratch.readable
        guard location.count > 1, location[0] == UInt8(ascii: "/") else { return response.store(location) }
        var start = 1
        while start < location.count,
            location[start] == UInt8(ascii: "/") || location[start] == UInt8(ascii: "\\")
        {
            start += 1
        }
        let slash = response.store(location.extracting(0..<1))
        let rest = response.store(location.extracting(start..<location.count))
        return Slice(start: Int(slash.start), count: Int(slash.count + rest.count))
    }
}

extension RequestHead {
    /// Whether `Accept` names JSON with more weight than HTML (RFC 9110 §12.5.1).
    fileprivate var prefersJSON: Bool {
        acceptedWeight(of: "application/json", or: "application/problem+json")
            > acceptedWeight(of: "text/html", or: "application/xhtml+xml")
    }
}
