"""What stands before and after a question in English, and short replies."""
HELLO = [
    "", "", "", "", "", "", "[Hi|Hello|Hey]. ", "[Hi|Hello|Hey], ", "[Hi|Hello|Hey] there, ",
        "[Hi|Hello|Hey]! ",
    "Good [morning|afternoon|evening]. ",
        "[Excuse me|Sorry to bother you|Quick question|One question|Sorry], ",
    "[Ok|Okay|So|Well|Right|Also|And|Now], ", "[Dear team|Dear support|Hello team|Hi support], ",
        "I have a question: ",
    "[I'm a bit worried|I'm confused|I'm new here|I have been waiting all day|I wrote you "
        "yesterday]. ",
    "[Please help|Can you help me|I need some help]. ", "Me again. ", "One more thing: ",
        "[Just wondering|Just asking], ",
    "I [ordered|bought something] [last week|some days ago|last month] [from you|here]. ",
]
PLEASE = [
    "", "", "", "", "", "", " Thanks!", " Thank you.", " Please help.", " Thanks in advance.",
        " pls", " please",
    " It's urgent.", " I need to know today.", " Thank you for your help.", " Can you tell me?",
        " I really need to know.",
    " Best regards, [Anna|Tom|Maria|John|Lee]", " Sorry for the trouble.", " :)", " asap",
        " My name is [Anna|Tom|Maria|John].",
]
CONFIRM = {
    "confirm_yes": ([
        "[yes|yes please|yeah|ok|sure|please do|do it|yep|go ahead|yes, cancel it][.|!|]",
                     "yes, [please|I'm sure|do that][.|]"],
                    ["yes, that is what I want.", "sure, please cancel."]),
    "confirm_no": (["[no|no thanks|nope|not now|no, wait|don't|no, keep it|never mind][.|!|]",
        "no, [leave it|I changed my mind][.|]"],
                   ["no, I want to keep it.", "wait, not yet please."]),
    "new_address": (["[it's |the new address is |my new address: |please send it to |]{place}[.|]"],
                    ["I live at {place} now.", "bring it to {place}, please."]),
}
CHOSEN = (["{order}", "{order}", "{order}[.|, please.|!]",
        "[it's|it is|I mean|I think it's|that's] {order}[.|]", "{order} [of course|I think|please]",
           "the number is {number}[.|]", "my order number is {number}[.|]"],
          ["I want to know about {order}.", "well, it must be {order}.",
          "it's about {order}, I think."])
