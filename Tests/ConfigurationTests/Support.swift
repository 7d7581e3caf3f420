import ChimeraConfiguration
import Testing

/// Loads a tenant's file `conf.d/t.conf` beside a plain machine's file.
func load(
    tenant: String, machine: String = "listen 8080\n", files: [String: String] = [:],
    environment: [String: String] = [:]
) -> LoadResult {
    var all = files
    all["chimera.conf"] = machine + "import conf.d/*.conf\n"
    all["conf.d/t.conf"] = tenant
    all["conf.d/t/page.html"] = "<p>closed</p>"
    all["conf.d/t/users"] = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
    let disk = MemoryFileSystem(files: all)
    return ConfigurationLoader(fileSystem: disk, environment: { environment[$0] }).load(
        machineFile: "chimera.conf")
}

/// Loads the machine's file alone.
func load(machine: String, files: [String: String] = [:], limits: ConfigurationLimits = .init()) -> LoadResult
{
    var all = files
    all["chimera.conf"] = machine
    return ConfigurationLoader(
        fileSystem: MemoryFileSystem(files: all), environment: { _ in nil }, limits: limits
    ).load(machineFile: "chimera.conf")
}

/// The only site of a tenant's file that must be right.
func site(_ content: String, environment: [String: String] = [:]) throws -> Site {
    let result = load(tenant: "site a.example {\n\(content)\n}\n", environment: environment)
    #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
    return try #require(result.configuration?.sites.first?.site)
}

/// The only route of a site that must be right.
func route(_ line: String) throws -> Route {
    let site = try site(line)
    #expect(site.routes.count == 1)
    return try #require(site.routes.first)
}

/// The messages about a site's content.
func messages(_ content: String) -> [String] {
    load(tenant: "site a.example {\n\(content)\n}\n").diagnostics.map(\.text)
}
