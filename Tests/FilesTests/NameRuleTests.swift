import ChimeraBytes
import Testing

@testable import ChimeraFiles

@Suite struct `Names that are not served` {
    private func refuses(_ path: String, hidden: Bool = false, _ sources: [String] = ["php", "phar"]) -> Bool
    {
        let rules = NameRules(FilesOptions(directory: "/", servesHidden: hidden, sourceExtensions: sources))
        return rules.refuse(Array(path.utf8).span)
    }

    @Test(arguments: [
        ("/.git/config", true), ("/a/.b", true), ("/.htpasswd", true), ("/a/...", true), ("/.", true),
        ("/.well-known/x", false), ("/a/.well-known/x", false), ("/.well-known", false),
        ("/.well-knownx", true), ("/.well-known/.x", true), ("/.Well-Known/x", true),
        ("/a.b", false), ("/a./b", false), ("/", false), ("/a/b.c/d", false), ("/~a", false),
    ])
    func `a segment that begins with a dot is hidden, but .well-known`(_ path: String, _ isRefused: Bool) {
        #expect(refuses(path) == isRefused)
        #expect(!refuses(path, hidden: true), "hidden=on")
    }

    @Test(arguments: [
        ("/a.php", true), ("/a.PHP", true), ("/a.pHp/", true), ("/a.php~", true), ("/a.php.bak", true),
        ("/a.php.orig", true), ("/a.phar", true), ("/d/a.php.BAK~/", true), ("/a.php.gz", true),
        ("/a.php.br", true), ("/a.php.zst~", true), ("/x.y.php", true),
        ("/a.txt", false), ("/aphp", false), ("/a.php.txt", false), ("/a.php5", false), ("/php", false),
        ("/a.php/b", false), ("/a.html~", false), ("/a.bak", false), ("/~", false), ("/", false),
    ])
    func `source is refused in whatever case and with what editors append`(_ path: String, _ isRefused: Bool)
    {
        #expect(refuses(path) == isRefused)
        #expect(!refuses(path, []), "no extension is source")
    }

    @Test func `an extension of two parts is matched whole`() {
        #expect(refuses("/a.inc.html", ["inc.html"]))
        #expect(!refuses("/a.html", ["inc.html"]))
    }
}
