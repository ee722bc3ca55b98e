// html-validate's recommended rules, without those that a mail cannot keep.
export default {
    root: true,
    extends: ["html-validate:recommended"],
    rules: {
        // Mail programs know tables, their attributes and inline styles; Outlook needs conditional comments.
        "no-inline-style": "off",
        "no-deprecated-attr": "off",
        "no-conditional-comment": "off",
        // How the MJML compiler writes HTML.
        "doctype-style": "off",
        "void-style": "off",
        "no-trailing-whitespace": "off",
        "prefer-tbody": "off",
        "prefer-native-element": "off",
        // It counts a character reference as its letters.
        "long-title": "off",
    },
};
