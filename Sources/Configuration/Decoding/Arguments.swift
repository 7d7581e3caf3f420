internal import ChimeraBytes

/// The words of a statement after its name, decoded as its row says.
struct Arguments {
    struct Item {
        var token: Token
        var value: Value
    }

    var statement: Statement
    /// The directive's name.
    var keyword: Token
    private var items: [(name: String, item: Item)] = []

    init(statement: Statement, keyword: Token) {
        self.statement = statement
        self.keyword = keyword
    }

    mutating func append(_ item: Item, to name: String) { items.append((name, item)) }

    func all(_ name: String) -> [Item] { items.filter { $0.name == name }.map(\.item) }

    func first(_ name: String) -> Item? { items.first { $0.name == name }?.item }

    // Each of these gives nil where the argument is not given.

    func text(_ name: String) -> String? {
        if case .text(let text)? = first(name)?.value { text } else { nil }
    }

    func template(_ name: String) -> Template? {
        if case .template(let template)? = first(name)?.value { template } else { nil }
    }

    func number(_ name: String) -> Int? {
        if case .number(let number)? = first(name)?.value { number } else { nil }
    }

    func bytes(_ name: String) -> Int64? {
        if case .bytes(let bytes)? = first(name)?.value { bytes } else { nil }
    }

    func timeLimit(_ name: String) -> TimeLimit? {
        if case .timeLimit(let limit)? = first(name)?.value { limit } else { nil }
    }

    func isOn(_ name: String) -> Bool? {
        if case .isOn(let isOn)? = first(name)?.value { isOn } else { nil }
    }

    func file(_ name: String) -> ReferencedFile? {
        if case .file(let file)? = first(name)?.value { file } else { nil }
    }

    func names(_ name: String) -> [String]? {
        if case .names(let names)? = first(name)?.value { names } else { nil }
    }
}
