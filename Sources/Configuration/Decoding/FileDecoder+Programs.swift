/// The program that a command names.
extension FileDecoder {
    private static let usualPath = "/usr/local/bin:/usr/bin:/bin"

    /// The file that a command's first word names: a path, or a name that is looked up as a shell does.
    func program(_ token: Token) -> String? {
        let name = token.text
        guard !name.isEmpty, !name.utf8.contains(0) else {
            report(token, "a program has a name")
            return nil
        }
        if name.contains("/") {
            let path = resolve(name)
            return isProgram(path, token) ? path : nil
        }
        let places = (session.environmentValue("PATH") ?? Self.usualPath).split(separator: ":")
        for place in places where place.hasPrefix("/") {
            let path = FilePath.resolve(name, in: String(place))
            // Only what is found counts from now on: the rest of the places are nobody's configuration.
            guard session.fileSystem.kind(of: path) == .file, session.fileSystem.isExecutable(path) else {
                continue
            }
            _ = session.kind(of: path)
            return isRunnable(path, token) ? path : nil
        }
        let near = session.kind(of: resolve(name)) == .file ? ["./" + name] : []
        report(token, "there is no program \"\(name)\"", near)
        return nil
    }

    private func isProgram(_ path: String, _ token: Token) -> Bool {
        switch session.kind(of: path) {
        case .file where session.fileSystem.isExecutable(path): return isRunnable(path, token)
        case .file:
            report(
                token,
                "\"\(token.text)\" cannot be executed: it is not marked as a program, or not for who serves")
        case nil: report(token, "the program \"\(token.text)\" does not exist")
        default: report(token, "\"\(token.text)\" is not a program")
        }
        return false
    }

    /// Whether the kernel knows how to begin it: a script says what runs it.
    private func isRunnable(_ path: String, _ token: Token) -> Bool {
        guard let bytes = session.fileSystem.beginning(of: path),
            let fault = ScriptBeginning(bytes).fault(isThere: { session.fileSystem.kind(of: $0) == .file })
        else { return true }
        report(token, "\"\(token.text)\" cannot be executed: \(fault)")
        return false
    }
}
