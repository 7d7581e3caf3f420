/// What `session` makes of its words.
extension FileDecoder {
    func sessionTarget(_ arguments: Arguments) -> SessionTarget? {
        let words = arguments.all("COMMAND")
        guard let first = words.first else { return nil }
        guard let program = program(first.token), let directory = programDirectory(arguments) else {
            return nil
        }
        for word in words where word.token.text.utf8.contains(0) {
            report(word.token, "a word of a command has no zero byte")
            return nil
        }
        var target = SessionTarget(
            program: program, command: words.map(\.token.text), directory: directory)
        guard mayRun(arguments, &target), setFraming(arguments, &target), setEnvironment(arguments, &target),
            setKeeping(arguments, &target)
        else { return nil }
        for item in arguments.all("origin") {
            if case .host(let host) = item.value { target.origins.append(host) }
        }
        if let bytes = arguments.bytes("message"), let item = arguments.first("message") {
            guard (1...Self.messageBytesMax).contains(bytes) else {
                reportMismatch(item.token, "between 1B and 64MiB")
                return nil
            }
            target.messageBytesMax = bytes
        }
        target.compresses = arguments.isOn("deflate") ?? true
        target.answersHTTP = arguments.isOn("http") ?? false
        if target.answersHTTP, target.hasTerminal, let item = arguments.first("http") {
            report(item.token, "a terminal needs both ways at once: `http=` has no place there")
            return nil
        }
        guard setTimes(arguments, &target), setResources(arguments, &target) else { return nil }
        warnOfShellWords(words)
        return target
    }

    private func setResources(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        target.resources.processes = arguments.number("processes")
        target.resources.files = arguments.number("files")
        if let bytes = arguments.bytes("memory"), let item = arguments.first("memory") {
            guard bytes >= Self.memoryBytesMin else {
                reportMismatch(item.token, "at least 1MiB")
                return false
            }
            target.resources.memory = bytes
        }
        if let item = arguments.first("files"), let files = target.resources.files, files < 3 {
            reportMismatch(item.token, "at least 3, which are the program's standard streams")
            return false
        }
        if case .milliseconds(let time)? = arguments.timeLimit("cpu-time"),
            let item = arguments.first("cpu-time")
        {
            guard time >= 1000, time % 1000 == 0 else {
                reportMismatch(item.token, "a number of whole seconds")
                return false
            }
            target.resources.cpuSeconds = Int(time / 1000)
        }
        guard let item = arguments.first("cpu"), let text = arguments.text("cpu") else { return true }
        let digits = text.dropLast()
        guard text.hasSuffix("%"), digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let percent = Int(digits), (1...100_000).contains(percent)
        else {
            reportMismatch(item.token, "a part of a core such as 50%, or 200% for two")
            return false
        }
        target.resources.cpuPercent = percent
        return true
    }

    /// No program begins with less.
    private static let memoryBytesMin: Int64 = 1 << 20

    /// A message is held whole for a program that reads lengths.
    private static let messageBytesMax: Int64 = 64 << 20

    /// What is shorter would have nobody's connection live.
    private static let timeMillisecondsMin: Int64 = 10

    private func setTimes(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        for key in ["ping", "pong", "idle", "life"] {
            guard let item = arguments.first(key), case .milliseconds(let time)? = arguments.timeLimit(key),
                time < Self.timeMillisecondsMin
            else { continue }
            reportMismatch(
                item.token, "a time of at least \(Self.timeMillisecondsMin)ms, or `none`", ["\(key)=none"])
            return false
        }
        target.ping = arguments.timeLimit("ping") ?? target.ping
        target.pong = arguments.timeLimit("pong") ?? target.pong
        target.idle = arguments.timeLimit("idle") ?? target.idle
        target.life = arguments.timeLimit("life") ?? target.life
        if case .milliseconds(let time)? = arguments.timeLimit("end") { target.terminateMilliseconds = time }
        if case .milliseconds(let time)? = arguments.timeLimit("kill") { target.killMilliseconds = time }
        return true
    }

    /// What a shell would have done with a word, and nobody does here.
    private func warnOfShellWords(_ words: [Arguments.Item]) {
        let meant = ["|", "||", "&&", ">", ">>", "<", "2>&1", "&"]
        guard let word = words.first(where: { meant.contains($0.token.text) }) else { return }
        warn(
            word.token,
            "no shell is involved, so that \"\(word.token.text)\" is one more word for the program; a shell is `sh -c '…'`",
            [])
    }

    private func setFraming(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        target.hasTerminal = arguments.isOn("pty") ?? false
        target.isOpen = arguments.isOn("open") ?? false
        if target.hasTerminal { target.framing = .raw }
        if let name = arguments.text("framing") { target.framing = .init(rawValue: name) ?? .lines }
        for key in ["stderr", "framing"] where target.hasTerminal {
            guard let item = arguments.first(key), key == "stderr" || target.framing.hasLengths else {
                continue
            }
            report(item.token, "a terminal is one stream of octets: `\(key)=` has no place there")
            return false
        }
        if let name = arguments.text("stderr") { target.errorOutput = .init(rawValue: name) ?? .log }
        if target.errorOutput == .inline, target.framing.hasLengths, let item = arguments.first("stderr") {
            report(item.token, "`stderr=inline` has no place between messages with a length")
            return false
        }
        return true
    }

    private func setEnvironment(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        for item in arguments.all("env") {
            guard case .text(let text) = item.value else { continue }
            let name = text.prefix { $0 != "=" }
            let isName = name.utf8.allSatisfy {
                (65...90).contains($0 & 0xDF) || (48...57).contains($0) || $0 == 95
            }
            guard !name.isEmpty, isName, name.utf8.count < text.utf8.count, !text.utf8.contains(0) else {
                report(item.token, "a variable is given as env=NAME=VALUE")
                return false
            }
            target.environment.append(text)
        }
        return true
    }

    // MARK: - Listeners

    /// `listen ADDRESS session=TENANT/ROUTE`. Whether that route is there is known when all files are read.
    func setSession(_ arguments: Arguments, _ listener: inout Listener) {
        guard let item = arguments.first("session"), case .text(let text) = item.value else { return }
        guard let address = SessionAddress(text) else {
            let hint = text.contains("/") ? [] : [text + "/ROUTE"]
            report(
                item.token, "a session is named by its tenant and its route's path: session=shop/repl", hint)
            return
        }
        for key in ["tls", "name", "public"] {
            guard let other = arguments.first(key) else { continue }
            report(
                other.token,
                "`\(key)` has no place beside `session=`: its connections speak no HTTP, and no TLS")
            return
        }
        listener.session = address
    }

    // MARK: - Terminals

    /// Reports terminals that everybody may use though nobody said so.
    func checkTerminals(of site: Site) {
        guard !hasBrokenGuard else { return }
        for route in site.routes {
            guard case .session(let target) = route.destination, target.hasTerminal, !target.isOpen,
                !isGuarded(route, of: site)
            else { continue }
            report(
                .error, at: route.position,
                "everybody who reaches this terminal may use it; guard it with `auth` or `allow`, or say `open=on`",
                [],
                line: line(at: route.position))
        }
    }

    private func isGuarded(_ route: Route, of site: Site) -> Bool {
        if site.tls?.clients == .require { return true }
        var settings = site.settings
        for index in site.blocksBySpecificity {
            let block = site.settingsBlocks[index]
            // What does not cover all of the route leaves a part of it open.
            let covers =
                block.methods.isEmpty && block.matchers.isEmpty && block.pattern.covers(route.pattern)
            if covers || block.settings.guardName == nil { settings = settings.merging(block.settings) }
        }
        return settings.merging(route.settings).guardName != nil
    }

    // MARK: - Who runs it, and where

    /// Where the gateway serves as root, that a program does too has to be said a second time.
    private func mayRun(_ arguments: Arguments, _ target: inout SessionTarget) -> Bool {
        let serving = (machine ?? self).servesAs
        let isRoot = serving?.isRoot ?? false
        guard let item = arguments.first("user"), let name = arguments.text("user") else {
            guard isRoot else { return true }
            report(
                arguments.keyword,
                "the program would run as root, as the gateway does; where that is meant, say so: `user=root`"
            )
            return false
        }
        let wantsRoot = UserName(name)?.isRoot ?? false
        if wantsRoot && (isRoot || serving == nil) {
            target.mayBeRoot = true
            return true
        }
        guard let serving else {
            report(
                item.token,
                "a program runs as who serves, and the machine's file names nobody: `user \(name)` stands there first"
            )
            return false
        }
        guard name == serving.name else {
            report(
                item.token, "a program runs as who serves, which is \(serving.name)",
                ["user=" + serving.name])
            return false
        }
        return true
    }

    private func programDirectory(_ arguments: Arguments) -> String? {
        guard let item = arguments.first("directory"), case .text(let path) = item.value else {
            return current.directory
        }
        let directory = resolve(path)
        guard top(holding: directory, item.token) != nil else { return nil }
        switch session.kind(of: directory) {
        case .directory: return directory
        case nil: report(item.token, "the directory \"\(path)\" does not exist")
        default: report(item.token, "\"\(path)\" is not a directory")
        }
        return nil
    }
}
