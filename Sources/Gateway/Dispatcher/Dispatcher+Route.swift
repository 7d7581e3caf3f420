internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

extension Dispatcher {
    /// From the site on: route, settings, and all that is answered before a destination has its turn.
    func route(
        _ site: CompiledSite, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> Verdict {
        let selection = site.selectRoute(context, request)
        if case .route(let route) = selection { context.route = route }
        let settings = site.settings(for: context.route, context, request)
        context.settings = settings
        if let verdict = admit(settings, context, request, response) { return verdict }
        switch selection {
        case .none: return .answer(refuse(404, context, request, response))
        case .methodMissing: return .answer(refuseMethod(site, context, request, response))
        case .route(let route): return enter(route, settings, context, request, response)
        }
    }

    /// What is asked whether or not there is a route; nil: the request goes on.
    private func admit(
        _ settings: CompiledSettings, _ context: RequestContext, _ request: RequestHead,
        _ response: ResponseHead
    ) -> Verdict? {
        if let closed = settings.closed { return .answer(answerClosed(closed, context, request, response)) }
        if let canonical = settings.canonical, !context.isPlain, !context.canonicalHost.equals(canonical.span)
        {
            return .answer(redirect(toHost: canonical, context, request, response))
        }
        if settings.hasLimits, let verdict = checkLimits(settings, context, request, response) {
            return verdict
        }
        if settings.access.isOpen { return nil }
        switch settings.access.admission(context, request) {
        case .open: return nil
        case .refused: return .answer(refuse(403, context, request, response))
        case .passwordNeeded: return checkPassword(settings, context, request, response)
        }
    }

    /// Up to this bound of `limit body` a body that nobody wants and that does not tell its length is counted before the
    /// answer. Of a larger one no more than this is taken anyway.
    private static let countedBodyMax: Int64 = 256 * 1024

    private func enter(
        _ route: CompiledRoute, _ settings: CompiledSettings, _ context: RequestContext,
        _ request: RequestHead,
        _ response: ResponseHead
    ) -> Verdict {
        if case .known(let count) = request.body, Int64(count) > settings.limitBody {
            context.refusal = .bodyTooLarge
            return .answer(refuse(413, context, request, response))
        }
        if case .proxy = route.target, request.maxForwards == 0 {
            return .answer(answerAsLast(context, request, response))
        }
        switch route.target {
        case .redirect(let target): return .answer(redirect(target, context, request, response))
        case .respond(let target):
            if request.body == .unknown && settings.limitBody <= Self.countedBodyMax { return .serve(route) }
            return .answer(respond(target, context, request, response))
        case .files, .proxy, .welcome, .session, .telemetry, .handler:
            if settings.strip != nil || settings.rewrite != nil || route.prefix != nil,
                !makeDestination(route, settings, context, request)
            {
                context.refusal = .pathMalformed
                return .answer(refuse(400, context, request, response))
            }
            return .serve(route)
        }
    }

    // MARK: The destination's path

    /// Applies `rewrite`, `strip` and the prefix to the path.
    ///
    /// - Returns: false where the outcome is no path.
    private func makeDestination(
        _ route: CompiledRoute, _ settings: CompiledSettings, _ context: RequestContext,
        _ request: RequestHead
    ) -> Bool {
        let scratch = scratch
        scratch.clear()
        if let prefix = route.prefix { _ = prefix.expand(context, request, into: scratch) }
        let prefixEnd = scratch.count
        var pathEnd: Int?
        if let rewrite = settings.rewrite {
            if rewrite.beginsWithValue { scratch.append("/") }
            _ = rewrite.expand(context, request, into: scratch)
            pathEnd = scratch.readable.firstIndex(of: UInt8(ascii: "?"), from: prefixEnd)
        } else if let strip = settings.strip, strip.pattern.matches(context.matchedPath) {
            scratch.append("/")
            scratch.append(context.sentPath.sentPath(withoutSegments: strip.segments))
        } else if route.prefix == nil {
            return true
        } else {
            scratch.append(context.sentPath)
        }
        let made = scratch.readable
        if let pathEnd { context.rewrittenQuery = context.store(made.extracting((pathEnd + 1)..<made.count)) }
        return storeDestination(made.extracting(0..<(pathEnd ?? made.count)).droppingSecondSlash(), context)
    }
}

extension Span where Element == UInt8 {
    /// What follows, in a path in its sent form, the first `count` segments of its matched form and the slash
    /// behind them.
    @_lifetime(copy self)
    func sentPath(withoutSegments count: Int) -> Span<UInt8> {
        var index = 0
        var left = count
        while index < self.count {
            let separator = slashLength(at: index)
            if separator > 0 {
                index += separator
            } else if left == 0 {
                break
            } else if skipSegment(&index) {
                left -= 1
            }
        }
        return extracting(index..<self.count)
    }

    /// Goes on to the slash behind a segment.
    ///
    /// - Returns: whether the segment has a name; one of parameters alone has none in the matched form.
    private func skipSegment(_ index: inout Int) -> Bool {
        let hasName = self[index] != UInt8(ascii: ";")
        while index < count, slashLength(at: index) == 0 { index += 1 }
        return hasName
    }

    /// How many octets the slash at `index` has, which may be an escape; 0 where there is none.
    private func slashLength(at index: Int) -> Int {
        if self[index] == UInt8(ascii: "/") { return 1 }
        guard self[index] == UInt8(ascii: "%"), count - index > 2, self[index + 1] == UInt8(ascii: "2"),
            self[index + 2].lowercased == UInt8(ascii: "f")
        else { return 0 }
        return 3
    }

    /// A path that begins with `/` and was put behind another slash, with one slash.
    @_lifetime(copy self)
    fileprivate func droppingSecondSlash() -> Span<UInt8> {
        count > 1 && self[0] == UInt8(ascii: "/") && self[1] == UInt8(ascii: "/")
            ? extracting(1..<count) : self
    }
}
