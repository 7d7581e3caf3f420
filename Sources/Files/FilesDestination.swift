internal import ChimeraBytes
internal import ChimeraEventLoop
package import ChimeraHTTPCore

/// The `files` destination on one worker: one directory, served as one directive says.
///
/// ```
///   answer ──▶ an answer                        from memory, without a wait or a system call
///          ──▶ nil ──▶ in a task: prepare ──▶ an answer        after a look at the disk, on the pool
///   an answer ──▶ a body that the wire sends itself, or `send`, in a task
/// ```
/// Paths are matched paths (see `PathNormaliser`): decoded, and without dot segments, doubled slashes, NUL
/// and backslashes. Touched on its worker's thread only.
package final class FilesDestination {
    private let cache: FilesCache
    private let place: FilePlace
    private let names: NameRules
    private let fallback: [UInt8]?

    /// - Parameter cache: the worker's, shared by all its destinations.
    package init(options: FilesOptions, cache: FilesCache) {
        self.cache = cache
        let names = NameRules(options)
        self.names = names
        place = FilePlace(
            owner: cache.makeOwner(), options: options,
            index: options.index.map { Array($0.utf8) }.filter { !names.namesSource($0.span) })
        fallback = options.fallback.map { Array($0.utf8) }.flatMap { names.namesSource($0.span) ? nil : $0 }
    }

    deinit { cache.forget(owner: place.owner) }

    // MARK: Answering

    /// Answers without waiting, if that can be done: fills `response`, which is empty, but for what codecs
    /// write (`Content-Length`, `Date`, `Connection`).
    ///
    /// - Parameters:
    ///   - path: see `RequestedFile.path`.
    ///   - prefix: see `RequestedFile.prefix`.
    ///   - query: see `RequestedFile.query`.
    /// - Returns: nil where the disk has to be looked at first, see `prepare`; `response` is as it was then.
    package func answer(
        path: Span<UInt8>, prefix: Span<UInt8>, query: Span<UInt8>?, request: RequestHead,
        response: ResponseHead
    ) -> FilesAnswer? {
        cache.worker.onThread()
        return answer(
            path: path, prefix: prefix, query: query, request: request, response: response,
            now: cache.worker.now)
    }

    /// The same at a given time of the worker's clock.
    func answer(
        path: Span<UInt8>, prefix: Span<UInt8>, query: Span<UInt8>?, request: RequestHead,
        response: ResponseHead,
        now: Int64
    ) -> FilesAnswer? {
        if let refusal = refuse(request.method, response) { return refusal }
        guard let content = usableContent(path, now: now) else { return nil }
        if case .directory = content { return redirect(path, prefix, query, response) }
        return respond(content, request, response)
    }

    /// Answers after a look at the disk, which requests for the same path share.
    package func prepare(
        _ file: RequestedFile, request: RequestHead, response: ResponseHead
    ) async -> FilesAnswer {
        if let refusal = refuse(request.method, response) { return refusal }
        let content = await loadedContent(file.path)
        if case .directory = content {
            return redirect(file.path.span, file.prefix.span, file.query?.span, response)
        }
        return respond(content, request, response)
    }

    // MARK: Finding

    private func usableContent(_ path: Span<UInt8>, now: Int64) -> FileEntry.Content? {
        guard !path.isEmpty else { return .directory }
        guard let entry = cache.usable(place, path, now: now) else {
            // What is never served has no entry, so that this is judged only where there is none.
            return names.refuse(path) ? .failed(status: 404) : nil
        }
        guard isMissing(entry), let fallback else { return entry.content }
        return cache.usable(place, fallback.span, now: now).map(fallbackContent)
    }

    private func loadedContent(_ path: [UInt8]) async -> FileEntry.Content {
        guard !path.isEmpty else { return .directory }
        if names.refuse(path.span) { return .failed(status: 404) }
        let entry = await cache.loaded(place, path, now: cache.worker.now)
        guard let entry else { return .failed(status: 503) }
        guard isMissing(entry), let fallback else { return entry.content }
        let last = await cache.loaded(place, fallback, now: cache.worker.now)
        return last.map(fallbackContent) ?? .failed(status: 503)
    }

    /// A fallback that is a directory is nothing that could be served.
    private func fallbackContent(_ entry: FileEntry) -> FileEntry.Content {
        if case .directory = entry.content { .failed(status: 404) } else { entry.content }
    }

    private func isMissing(_ entry: FileEntry) -> Bool {
        if case .failed(status: 404) = entry.content { true } else { false }
    }

    // MARK: Filling the head

    /// RFC 9110 §9.1: what is read only knows GET and HEAD; OPTIONS is told so.
    private func refuse(_ method: Method, _ response: ResponseHead) -> FilesAnswer? {
        switch method {
        case .get, .head: return nil
        case .options: response.status = 204
        default: response.status = 405
        }
        response.add(.allow, "GET, HEAD")
        return .body(.none)
    }

    private func respond(
        _ content: FileEntry.Content, _ request: RequestHead, _ response: ResponseHead
    ) -> FilesAnswer {
        switch content {
        case .file(let resource):
            return FileResponse(resource, request, response, wallSeconds: cache.worker.wallSeconds).fill()
        case .failed(let status): response.status = status
        case .directory, .unknown: response.status = 404
        }
        return .body(.none)
    }

    /// Redirects to the directory's path with its slash, which browsers resolve relative links by. 301 is
    /// known to every client, and only GET and HEAD come here, whose method it keeps.
    ///
    /// The location is made of matched paths, so it has one slash at its beginning and not two.
    private func redirect(
        _ path: Span<UInt8>, _ prefix: Span<UInt8>, _ query: Span<UInt8>?, _ response: ResponseHead
    ) -> FilesAnswer {
        var location: [UInt8] = []
        location.reserveCapacity(prefix.count + path.count + (query?.count ?? 0) + 16)
        PercentEncoding.append(prefix, allowing: .locationPath, to: &location)
        PercentEncoding.append(path, allowing: .locationPath, to: &location)
        location.append(UInt8(ascii: "/"))
        if let query {
            location.append(UInt8(ascii: "?"))
            PercentEncoding.append(query, allowing: .locationQuery, to: &location)
        }
        response.status = 301
        response.add(.location, location.span)
        return .body(.none)
    }
}

extension ByteSet {
    /// RFC 3986 §3.3, without the semicolon: one that stands in a matched path was data, and an escape.
    fileprivate static var locationPath: ByteSet {
        ByteSet(low: 0x27FF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF)
    }
    /// What is left as it is in a query: all that is visible, but what some would not take for a part of it.
    fileprivate static var locationQuery: ByteSet {
        ByteSet(low: 0xAFFF_FFF2_0000_0000, high: 0x7FFF_FFFF_EFFF_FFFF)
    }
}
