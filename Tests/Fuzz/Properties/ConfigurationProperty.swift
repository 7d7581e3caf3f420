@testable import ChimeraConfiguration

/// A configuration file, as the machine's and as a tenant's.
///
/// - Nothing traps.
/// - What is said of it stands at a place in it, and no terminal would act on it.
/// - What cannot be used has an error.
/// - Formatted it means the same, and formatting that changes nothing.
func configurationFailure(_ content: [UInt8]) -> String? {
    let files = files(content)
    let results = machineFiles.map { loader(files).load(machineFile: $0) }
    for result in results {
        if let failure = failure(in: result, files) { return failure }
    }
    guard let text = String(validating: content, as: UTF8.self) else {
        return results.allSatisfy(\.hasErrors) ? nil : "what is no UTF-8 has no error"
    }
    switch Formatter.format(text, file: "fuzz.conf") {
    case .failure(let failure):
        if failure.diagnostics.isEmpty { return "why it is not formatted is not said" }
        return placeFailure(in: failure.diagnostics, files)
    case .success(let formatted):
        return formattedFailure(content, formatted, results)
    }
}

// MARK: - Loading

private func files(_ content: [UInt8]) -> MemoryFileSystem {
    var files = MemoryFileSystem(files: [
        "chimera.conf":
            "listen 8080 name=a\nlisten 8081\ndefine shared { header X y }\nimport conf.d/*.conf\n",
        "conf.d/page.html": "<p>page</p>", "conf.d/users": "a:b\n", "page.html": "<p>page</p>",
        "users": "a:b\n",
    ])
    files.add("conf.d/tenant.conf", content)
    files.add("fuzz.conf", content)
    return files
}

/// One that imports the content as a tenant's, and the content itself.
private let machineFiles = ["chimera.conf", "fuzz.conf"]

private func loader(_ files: MemoryFileSystem) -> ConfigurationLoader {
    ConfigurationLoader(fileSystem: files, environment: { $0 == "NAME" ? "value" : nil })
}

private func failure(in result: LoadResult, _ files: MemoryFileSystem) -> String? {
    let isUsable = result.configuration != nil && result.refusedTenants.isEmpty
    if isUsable == result.hasErrors { return "whether it can be used is not what its messages say" }
    for diagnostic in result.diagnostics where diagnostic.text.unicodeScalars.contains(where: isControl) {
        return "a message holds a control character"
    }
    for text in [result.diagnostics.rendered, result.diagnostics.json] {
        if text.unicodeScalars.contains(where: { isControl($0) && $0 != "\n" && $0 != "\t" }) {
            return "what is printed holds a control character"
        }
    }
    return placeFailure(in: result.diagnostics, files)
}

/// What a terminal acts on: C0, DEL and C1.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
}

// MARK: - Places

private func placeFailure(in diagnostics: [Diagnostic], _ files: MemoryFileSystem) -> String? {
    for diagnostic in diagnostics {
        if diagnostic.message.isEmpty || diagnostic.length < 1 { return "a message says nothing" }
        for place in [diagnostic.position, diagnostic.other].compactMap(\.self) where !exists(place, files) {
            return "\(place) is no place: \(diagnostic.message)"
        }
        let shown = source(diagnostic.position, files)?.line(diagnostic.position.line)
        if let line = diagnostic.sourceLine, line != shown {
            return "\(diagnostic.position) shows another line"
        }
    }
    return nil
}

private func source(_ place: SourcePosition, _ files: MemoryFileSystem) -> SourceFile? {
    files.files[FilePath.resolve(place.file, in: files.currentDirectory)].map {
        SourceFile(name: place.file, directory: "/", bytes: $0)
    }
}

/// At the latest behind the last character of a line.
private func exists(_ place: SourcePosition, _ files: MemoryFileSystem) -> Bool {
    guard let source = source(place, files) else { return false }
    let lines = source.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard (1...lines.count).contains(place.line) else { return false }
    let line = lines[place.line - 1]
    let columns = String(validating: line, as: UTF8.self)?.unicodeScalars.count ?? line.count
    return (1...(columns + 1)).contains(place.column)
}

// MARK: - Formatting

private func formattedFailure(_ content: [UInt8], _ formatted: String, _ results: [LoadResult]) -> String? {
    let bytes = Array(formatted.utf8)
    guard case .success(let twice) = Formatter.format(formatted) else { return "formatted it is refused" }
    if twice != formatted { return "formatted twice it is another text" }
    if parsed(bytes) != parsed(content) { return "formatted it has other words" }
    if comments(bytes) != comments(content) { return "formatted it has other comments" }
    let after = loader(files(bytes)).load(machineFile: machineFiles[0])
    return isSame(results[0], after) ? nil : "formatted it means something else"
}

/// A statement without its place.
private struct Words: Equatable {
    var words: [String]
    var block: [Words]?

    init(_ statement: Statement) {
        words = statement.words.map { "\($0.quoting) \($0.keyBytes) \($0.text)" }
        block = statement.block?.map(Words.init)
    }
}

private func parsed(_ bytes: [UInt8]) -> [Words] {
    let source = SourceFile(name: "fuzz.conf", directory: "/", bytes: bytes)
    return Parser.parse(source, limits: ConfigurationLimits()).statements.map(Words.init)
}

private func comments(_ bytes: [UInt8]) -> [String] {
    Lexer.tokens(of: bytes, limits: ConfigurationLimits()).tokens.filter { $0.kind == .comment }.map(\.text)
}

/// All but the places, which formatting moves.
private func isSame(_ one: LoadResult, _ other: LoadResult) -> Bool {
    func sites(_ result: LoadResult) -> [[String]] {
        (result.configuration?.sites ?? []).map { $0.hosts.map(\.description) + $0.routes.map(\.text) }
    }
    return sites(one) == sites(other) && one.refusedTenants == other.refusedTenants
        && one.diagnostics.map(\.message) == other.diagnostics.map(\.message)
}
