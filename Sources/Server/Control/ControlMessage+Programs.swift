internal import ChimeraSessions

extension ControlMessage {
    /// Asks for a program: `request`, `text` for its path, `arguments`, `environment`, `directory`, `milliseconds` from the
    /// end of its input to SIGTERM, `killMilliseconds`, `count` 1 where it may run as root, `terminal`, and `limits`.
    init(_ order: ProgramOrder, request: Int64) {
        let plain = ControlMessage(.startProgram).with(.request, request).with(.text, order.path)
        let words = plain.with(.arguments, order.arguments.joined(separator: "\0"))
            .with(.environment, order.environment.joined(separator: "\0")).with(.directory, order.directory)
        let root: Int64 = order.mayBeRoot ? 1 : 0
        let terminal: Int64 = order.hasTerminal ? 1 : 0
        self = words.with(.milliseconds, order.ending.terminate)
            .with(.killMilliseconds, order.ending.kill).with(.count, root).with(.terminal, terminal)
        let limits = order.limits.text
        if !limits.isEmpty { self = with(.limits, limits) }
    }

    /// The program that is asked for; nil where something is missing.
    var programOrder: ProgramOrder? {
        guard kind == .startProgram, let path = text(.text), path.hasPrefix("/"),
            let arguments = text(.arguments), let directory = text(.directory), directory.hasPrefix("/")
        else { return nil }
        func words(_ text: String) -> [String] {
            text.split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
        }
        let environment = text(.environment) ?? ""
        var order = ProgramOrder(
            path: path, arguments: words(arguments),
            environment: environment.isEmpty ? [] : words(environment), directory: directory)
        order.ending.terminate = bounded(.milliseconds, order.ending.terminate)
        order.ending.kill = bounded(.killMilliseconds, order.ending.kill)
        order.mayBeRoot = number(.count) == 1
        order.hasTerminal = number(.terminal) == 1
        if let limits = text(.limits) { order.limits = ProgramLimits(text: limits) }
        return order
    }

    /// A time that ends.
    private func bounded(_ tag: Tag, _ usual: Int64) -> Int64 {
        number(tag).map { min(max(0, $0), 3_600_000) } ?? usual
    }
}

extension ProgramLimits {
    private static let names: [(String, any WritableKeyPath<ProgramLimits, Int?> & Sendable)] = [
        ("memory", \.memory), ("processes", \.processes), ("cpu", \.cpuPercent), ("files", \.files),
        ("seconds", \.cpuSeconds),
    ]

    /// As they go to the supervisor; empty for none.
    fileprivate var text: String {
        Self.names.compactMap { name, limit in self[keyPath: limit].map { "\(name)=\($0)" } }
            .joined(separator: " ")
    }

    fileprivate init(text: String) {
        self.init()
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let number = Int(parts[1]), number > 0,
                let limit = Self.names.first(where: { $0.0 == parts[0] })?.1
            else { continue }
            self[keyPath: limit] = number
        }
    }
}
