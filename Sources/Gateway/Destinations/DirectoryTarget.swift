internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraFiles
internal import ChimeraHTTPCore

/// What `files DIR` leads to on one worker: one directory, or one for each value of the variables in it.
final class DirectoryTarget {
    private let options: FilesOptions
    private let cache: FilesCache
    private let fixed: FilesDestination?
    @exclusivity(unchecked) private var byName: [String: FilesDestination] = [:]

    /// Directories with variables that are kept; the cache of files behind them is bounded on its own.
    private static let namesMax = 1024

    init(_ target: FilesTarget, sourceExtensions: [String], cache: FilesCache) {
        self.cache = cache
        options = FilesOptions(
            directory: target.directory.literal ?? "/",
            confinedTo: target.confinement ?? DirectoryTarget.fixedPart(of: target.directory),
            confinementIsReal: target.confinement != nil,
            index: target.index, fallback: target.fallback, servesHidden: target.hidden,
            sourceExtensions: sourceExtensions)
        fixed = target.directory.literal == nil ? nil : FilesDestination(options: options, cache: cache)
    }

    /// The directory that a request is served from; nil where a variable's value cannot name one.
    func destination(_ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead)
        -> FilesDestination?
    {
        if let fixed { return fixed }
        guard let template = route.directory else { return nil }
        let scratch = ByteBuffer(capacity: 256)
        guard template.expand(context, request, into: scratch) else { return nil }
        let name = String(decoding: scratch.pending, as: UTF8.self)
        if let known = byName[name] { return known }
        if byName.count >= DirectoryTarget.namesMax { byName.removeAll() }
        var named = options
        named.directory = name
        let made = FilesDestination(options: named, cache: cache)
        byName[name] = made
        return made
    }

    /// What stands before the first variable, up to its last slash: no value leads out of it.
    private static func fixedPart(of directory: Template) -> String? {
        guard directory.literal == nil, case .literal(let text) = directory.parts.first,
            let slash = text.lastIndex(of: "/")
        else { return nil }
        return slash == text.startIndex ? "/" : String(text[..<slash])
    }
}
