/// The page's style and its script: inline, named in the Content-Security-Policy by their hashes.
extension WelcomePage {
    static let style: StaticString = """
        :root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d1f23;--soft:#5d636e;\
        --line:#e3e1dc;\
        --accent:#0f6b5c;--code:#f5f3ef}
        @media (prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1c1f23;--ink:#e8e6e1;--soft:#a0a6b0;\
        --line:#30343a;--accent:#6cc9b5;--code:#171a1d}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);\
        font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
        header,main,footer{max-width:72rem;margin:0 auto;padding:0 1.5rem}
        header{padding-top:3.5rem;padding-bottom:2rem;display:flex;flex-wrap:wrap;gap:1.5rem 3rem;\
        align-items:flex-end;justify-content:space-between}
        h1{margin:0;font-size:2rem;font-weight:650;letter-spacing:-.02em;line-height:1.2}
        h1+p{margin:.4rem 0 0;color:var(--soft);max-width:36rem}
        dl{display:flex;gap:2rem;margin:0}
        dl div{display:flex;flex-direction:column-reverse}
        dt{color:var(--soft);font-size:.8125rem}
        dd{margin:0;font-size:1.5rem;line-height:1.2;font-variant-numeric:tabular-nums}
        main{display:grid;gap:1.25rem}
        article{background:var(--card);border:1px solid var(--line);border-radius:.75rem;overflow:hidden;\
        display:grid;grid-template-columns:minmax(0,1fr)}
        .about{padding:1.5rem}
        .top{display:flex;gap:1rem;align-items:baseline;justify-content:space-between}
        h2{margin:0;font-size:1.1875rem;font-weight:650;overflow-wrap:anywhere}
        .count{margin:0;color:var(--soft);font-size:.8125rem;white-space:nowrap}
        .count b{color:var(--accent);font-size:1.1875rem;font-variant-numeric:tabular-nums}
        ul{list-style:none;margin:.375rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.125rem 1rem;\
        overflow-wrap:anywhere}
        a{color:var(--accent);text-underline-offset:.2em;text-decoration-thickness:1px}
        a:hover{text-decoration-thickness:2px}
        :focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
        table{border-collapse:collapse;width:100%;margin-top:1rem;font-size:.9375rem}
        th,td{text-align:left;font-weight:400;vertical-align:top;padding:.375rem 0;\
        border-top:1px solid var(--line);\
        overflow-wrap:anywhere}
        th{padding-right:1.25rem;width:33%}
        td span{color:var(--soft)}
        code,pre,th{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;\
        font-size:.84375rem}
        figure{margin:0;background:var(--code);border-top:1px solid var(--line);min-width:0}
        figcaption{padding:1rem 1.5rem 0;color:var(--soft);font-size:.8125rem}
        pre{margin:0;padding:.5rem 1.5rem 1.25rem;overflow:auto;max-height:26rem;line-height:1.6;tab-size:4;\
        white-space:pre-wrap;overflow-wrap:anywhere}
        pre span{display:block;padding-left:8ch;text-indent:-8ch}
        pre i{font-style:normal;color:var(--soft)}
        .note{color:var(--soft);font-size:.9375rem;margin:0}
        footer{padding-top:2rem;padding-bottom:4rem;color:var(--soft);font-size:.9375rem}
        .hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        .lost dd,.lost b{opacity:.45}
        @media (min-width:56rem){article.wide{grid-template-columns:minmax(0,2fr) minmax(0,3fr)}\
        .wide figure{border-top:0;border-left:1px solid var(--line)}}
        """

    static let script: StaticString = """
        (() => {
          const cells = new Map();
          for (const cell of document.querySelectorAll("[data-count]")) cells.set(cell.dataset.count, cell);
          const show = (name, value) => {
            const cell = cells.get(name);
            const text = value.toLocaleString("en-US");
            if (!cell || cell.textContent === text) return;
            cell.textContent = text;
            const noun = cell.nextElementSibling;
            if (noun) noun.textContent = value === 1 ? "request" : "requests";
          };
          const look = async () => {
            if (!document.hidden) {
              try {
                const answer = await fetch("?chimera-counters", { cache: "no-store" });
                if (!answer.ok) throw new Error(answer.statusText);
                const now = await answer.json();
                show("requests", now.requests);
                show("connections", now.connections);
                for (const [site, value] of Object.entries(now.sites)) show("site " + site, value);
                document.body.classList.remove("lost");
              } catch {
                document.body.classList.add("lost");
              }
            }
            setTimeout(look, 1000);
          };
          setTimeout(look, 1000);
        })();
        """

    /// A square with three strands that become one: data, so that no second request is made for it.
    static let icon: StaticString = """
        data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect \
        width='32' height='32' rx='7' fill='%230f6b5c'/%3E%3Cpath d='M7 8c8 0 6 8 11 8M7 16h18\
        M7 24c8 0 6-8 11-8' fill='none' stroke='%23fff' stroke-width='2.5' stroke-linecap='round'/%3E%3C/svg%3E
        """
}
