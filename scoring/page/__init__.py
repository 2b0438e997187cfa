"""`report.html`: one file that shows a scoring in a browser, without a network.

The page holds the document of the scoring (`scoring.document`), packed, and all that draws it:

    render.py       the document and the files of `assets/` and `vendor/` in one page
    assets/         frame (`page.html`, `page.css`), rescoring (`rescore.js`), and a file for each group of views
    vendor/         Observable Plot and D3, which draw the charts, as their authors publish them, with their licences
"""
