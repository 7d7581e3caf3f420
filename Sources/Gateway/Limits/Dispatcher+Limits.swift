internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

extension Dispatcher {
    /// Asks the limits that cover a request; nil: it goes on, and counts in all of them.
    ///
    /// A request that one limit refuses counts in none, so that a client past its own limit takes nothing from the
    /// others of its site.
    func checkLimits(
        _ settings: CompiledSettings, _ context: RequestContext, _ request: RequestHead,
        _ response: ResponseHead
    ) -> Verdict? {
        // A request that is dispatched again, once its password is known, was counted before.
        if context.hasPassedLimits { return nil }
        let now = Int64(truncatingIfNeeded: clock())
        let rates = limits.rates
        for limit in settings.requestLimits {
            if case .refused(let wait) = rates.peek(limit.key.number(context, request), limit.rate, now: now)
            {
                return refuse(429, .requestRate, wait, context, request, response)
            }
        }
        for limit in settings.connectionLimits {
            switch limits.places.enter(limit.key.number(context, request), limit: limit.count) {
            case .entered(let place): context.places.append(place)
            case .uncounted: break
            case .full:
                leavePlaces(context)
                return refuse(503, .requestsUnderWay, 0, context, request, response)
            }
        }
        for limit in settings.requestLimits {
            if case .refused(let wait) = rates.take(limit.key.number(context, request), limit.rate, now: now)
            {
                leavePlaces(context)
                return refuse(429, .requestRate, wait, context, request, response)
            }
        }
        context.hasPassedLimits = true
        return nil
    }

    /// A request that counted as under way is over.
    func leavePlaces(_ context: RequestContext) {
        for place in context.places { limits.places.leave(place) }
        context.places.removeAll(keepingCapacity: true)
    }

    /// Refuses a request of a connection that is one too many.
    func refuseConnection(
        _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> Verdict {
        refuse(503, .clientConnections, 0, context, request, response)
    }

    /// RFC 6585 §4 and RFC 9110 §10.2.3: Retry-After says in how many seconds it may go better.
    private func refuse(
        _ status: Int, _ hit: LimitHit, _ wait: Int64, _ context: RequestContext, _ request: RequestHead,
        _ response: ResponseHead
    ) -> Verdict {
        context.limitHit = hit
        let body = refuse(status, context, request, response)
        let seconds = max(1, (wait + 999_999_999) / 1_000_000_000)
        let text = Array("\(seconds)".utf8)
        response.add(.retryAfter, text.span)
        return .answer(body)
    }
}
